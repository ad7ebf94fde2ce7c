-- deduct: what was locked left the shelf, because it shipped. The first deduct confirms.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id  4 op (of the shipment)  5 fingerprint
--       6… lines (a count, then sku, quantity, warehouse or ''); without them: all that is left
-- Event deduct, moves locked -> customer.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   REPEATED, ID_REUSED, UNKNOWN_LOCK, LOCK_EXPIRED, LOCK_NOT_HELD, WAREHOUSE_REQUIRED,
--   QUANTITY_EXCEEDS_LOCK, DEDUCTED.

local function ship(shard, lines, taken)
  for _, line in ipairs(lines) do
    local quantity = taken[line] or 0
    if quantity > 0 then
      move(shard, load_stock(shard, line.sku), line.warehouse, 'l', 'c', quantity)
      line.deducted = line.deducted + quantity
    end
  end
end

local function deduct(keys, args)
  local valid, wanted = read_wanted(args, 6)
  local shard, lock, answer = begin_step(keys, args, valid)
  if answer then return answer end
  if not is_open(lock) then return illegal(shard, lock) end
  local lines = decode_lines(lock.n)
  local taken, refused = take_lines(lock, lines, wanted)
  if not taken then return refused end
  local ended = all_taken(lines, taken)
  ship(shard, lines, taken)
  local changes = {
    s = ended and 'deducted' or 'partly_deducted', e = ended and 'deduct' or nil,
    x = false, n = encode_lines(lines),
  }
  local event = { kind = 'deduct', op = args[4], fingerprint = args[5], keeps_quantities = true }
  return end_step(shard, lock, 'DEDUCTED', event, changes)
end

register('deduct', deduct, { 'allow-oom' })
