-- transfer_ship: what was promised to a transfer left the source, and is on the way.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 transfer_id  4 op (of the shipment)  5 fingerprint  6 occurred_at in ms ('' for now)
--       7… lines (a count, then sku, quantity, ''); without them: all that is left
-- Event transfer_ship, moves locked at the source -> in_transit at the destination.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   REPEATED, ID_REUSED, UNKNOWN_TRANSFER, UNCHANGED (events told of all of it), TRANSFER_NOT_OPEN (nothing is left to ship),
--   QUANTITY_EXCEEDS_TRANSFER, QUANTITY_TOO_LARGE, TRANSFER_SHIPPED.

local function ship_transfer(keys, args)
  local valid, wanted = read_wanted(args, 7)
  local occurred_at = moment(args[6])
  local shard, transfer, answer = begin_transfer_step(keys, args, valid and (occurred_at or args[6] == ''))
  if answer then return answer end
  local lines = decode_transfer_lines(transfer.n)
  if shard.told then
    wanted, answer = untold_of_transfer(shard, transfer, transfer.a, args[4], wanted)
    if answer then return answer end
  end
  if sum_of(lines, unshipped) == 0 then return transfer_answer('TRANSFER_NOT_OPEN', transfer, shard.last) end
  local taken, refused = take_units(transfer, lines, wanted or {}, unshipped, {})
  if not taken then return refused end
  for _, line in ipairs(lines) do
    local asked = taken[line.sku]
    local quantity = asked and asked.quantity or (wanted and 0 or unshipped(line))
    if quantity > 0 then
      local stock = load_stock(shard, line.sku, transfer.a)
      fact_move(shard, stock, transfer.a, 'l', 't', quantity, nil, transfer.b, occurred_at)
      line.shipped = line.shipped + quantity
    end
  end
  local event = { kind = 'transfer_ship', op = args[4], fingerprint = args[5], occurred_at = occurred_at }
  return end_transfer_step(shard, transfer, 'TRANSFER_SHIPPED', event, lines)
end

register('transfer_ship', ship_transfer, { 'allow-oom' })
