-- transfer_receive: what was on the way arrived, good or damaged, or was lost.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 transfer_id  4 op (of the receipt)  5 fingerprint  6 occurred_at in ms ('' for now)
--       7… lines (a count, then sku, good, damaged, lost: units, one of them at least 1)
-- Event transfer_receive, moves in_transit -> available, in_transit -> damaged, in_transit -> adjustment.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   REPEATED, ID_REUSED, UNKNOWN_TRANSFER, UNCHANGED (events told of all of it), TRANSFER_NOT_OPEN (it has ended),
--   QUANTITY_EXCEEDS_TRANSFER (more than was shipped), QUANTITY_TOO_LARGE, TRANSFER_RECEIVED.

local ARRIVALS = { 'good', 'damaged', 'lost' }

local function read_arrivals(args, first)
  local count = natural(args[first])
  if not count or count == 0 or #args < first + 4 * count then return nil end
  local lines = {}
  for i = 1, count do
    local line, at = { sku = args[first + 4 * (i - 1) + 1], quantity = 0 }, first + 4 * (i - 1) + 1
    for k, name in ipairs(ARRIVALS) do
      local units = natural(args[at + k])
      if not units then return nil end
      line[name] = units
      line.quantity = line.quantity + units
    end
    if line.quantity == 0 then return nil end
    lines[i] = line
  end
  return lines
end

local function arrive(shard, warehouse, line, asked, at)
  local stock = load_stock(shard, line.sku, warehouse)
  if asked.good > 0 then fact_move(shard, stock, warehouse, 't', 'a', asked.good, nil, nil, at) end
  if asked.damaged > 0 then fact_move(shard, stock, warehouse, 't', 'd', asked.damaged, nil, nil, at) end
  if asked.lost > 0 then move(shard, stock, warehouse, 't', 'j', asked.lost, '"lost in transfer"') end
  line.received = line.received + asked.good
  line.damaged = line.damaged + asked.damaged
  line.lost = line.lost + asked.lost
end

local function receive_transfer(keys, args)
  local wanted = read_arrivals(args, 7)
  local occurred_at = moment(args[6])
  local shard, transfer, answer = begin_transfer_step(keys, args, wanted and (occurred_at or args[6] == ''))
  if answer then return answer end
  if shard.told then
    wanted, answer = untold_of_transfer(shard, transfer, transfer.b, args[4], wanted)
    if answer then return answer end
  end
  if not transfer_is_open(transfer) then return transfer_answer('TRANSFER_NOT_OPEN', transfer, shard.last) end
  local lines = decode_transfer_lines(transfer.n)
  local taken, refused = take_units(transfer, lines, wanted, on_the_way, ARRIVALS)
  if not taken then return refused end
  for _, line in ipairs(lines) do
    if taken[line.sku] then arrive(shard, transfer.b, line, taken[line.sku], occurred_at) end
  end
  local event = { kind = 'transfer_receive', op = args[4], fingerprint = args[5], occurred_at = occurred_at }
  return end_transfer_step(shard, transfer, 'TRANSFER_RECEIVED', event, lines)
end

register('transfer_receive', receive_transfer, { 'allow-oom' })
