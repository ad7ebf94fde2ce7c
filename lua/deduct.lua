-- deduct: what was locked left the shelf, because it shipped. The first deduct confirms.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id  4 op (of the shipment)  5 fingerprint
--       6… lines (a count, then sku, quantity, warehouse or ''); without them: all that is left
-- Event deduct, moves locked -> customer.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   REPEATED, ID_REUSED, UNKNOWN_LOCK, UNCHANGED (events of the inbox told of all of it), LOCK_EXPIRED, LOCK_NOT_HELD, WAREHOUSE_REQUIRED,
--   QUANTITY_EXCEEDS_LOCK, DEDUCTED.

local function ship(shard, lines, taken)
  for _, line in ipairs(lines) do
    local quantity = taken[line] or 0
    if quantity > 0 then
      move(shard, load_stock(shard, line.sku, line.warehouse), line.warehouse, 'l', 'c', quantity)
      line.deducted = line.deducted + quantity
    end
  end
end

-- Of a shipment that events of the inbox told of: the lines they did not, or an answer.
local function untold_of_lock(shard, lock, op, wanted)
  if not wanted then return nil, not is_open(lock) and lock_answer('UNCHANGED', lock, shard.last) or nil end
  local held = by_sku(decode_lines(lock.n))
  local untold = untold_lines(shard, op, wanted, function(line)
    local warehouses = {}
    for i, one in ipairs(held[line.sku] or {}) do warehouses[i] = one.warehouse end
    return warehouses
  end)
  if not untold then return nil, { 'ID_REUSED', lock.id } end
  return untold, #untold == 0 and lock_answer('UNCHANGED', lock, shard.last) or nil
end

local function deduct(keys, args)
  local valid, wanted = read_wanted(args, 6)
  local shard, lock, answer = begin_step(keys, args, valid)
  if not answer and shard.told then wanted, answer = untold_of_lock(shard, lock, args[4], wanted) end
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
