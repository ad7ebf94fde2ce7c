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

local function units_of(line)
  return { line.good, line.damaged, line.lost }
end

local function exceeding_answer(transfer, exceeding)
  local answer = transfer_answer('QUANTITY_EXCEEDS_TRANSFER', transfer, '')
  answer[8] = '[' .. table.concat(exceeding, ',') .. ']'
  return answer
end

local function receive_transfer(keys, args)
  local wanted = read_arrivals(args, 7)
  local at = moment(args[6])
  local shard, transfer, answer = begin_transfer_step(keys, args, wanted and (at or args[6] == ''))
  if answer then return answer end
  if shard.told then
    wanted, answer = untold_of_transfer(shard, transfer, transfer.b, args[4], wanted)
    if answer then return answer end
  end
  local carriage, document = carriage_of(transfer), reported_document(args[4])
  local sums, index = sum_by_sku(wanted, ARRIVALS)
  local skus, asked_before = {}, {}
  for i, sum in ipairs(sums) do skus[i], asked_before[sum.sku] = sum.sku, units_of(sum) end
  local family = load_family(shard, 'transfer_receive:' .. transfer.id, skus)
  answer = carried_before(shard, transfer, family, document, asked_before)
  if answer then return answer end
  local any, exceeding = false, {}
  for _, sum in ipairs(sums) do any = any or is_reported(family, sum.sku) end
  if not any and not transfer_is_open(transfer) then return transfer_answer('TRANSFER_NOT_OPEN', transfer, shard.last) end
  for _, sum in ipairs(sums) do
    local line = carried(carriage, sum.sku)
    local left = line and on_the_way(line) or 0
    if not is_reported(family, sum.sku) and sum.quantity > left then
      exceeding[#exceeding + 1] = exceeding_line({ sku = sum.sku, warehouse = '' }, sum.quantity, left)
    end
  end
  if #exceeding > 0 then return exceeding_answer(transfer, exceeding) end
  for _, line in ipairs(carriage.lines) do
    local sum, left = index[line.sku], on_the_way(line)
    if sum and not family.known[line.sku] then
      local stock = load_stock(shard, line.sku, transfer.b)
      receive_only_carried(shard, carriage, family, line, stock, document, units_of(sum), at)
    elseif sum then
      local stock, its = load_stock(shard, line.sku, transfer.b), sums_to_change(family, line.sku)
      claim_units(its, document, transfer.b, ROUTE, units_of(sum))
      local shipped = line.shipped
      local beyond = receive_carried(shard, carriage, its, line, stock, document, units_of(sum), at)
      if beyond > 0 or line.shipped > shipped then
        exceeding[#exceeding + 1] = exceeding_line({ sku = line.sku, warehouse = '' }, sum.quantity, left)
      end
    end
  end
  if #exceeding > 0 then return exceeding_answer(transfer, exceeding) end
  local moved = #shard.moves > 0
  local event = {
    kind = 'transfer_receive', op = args[4], fingerprint = args[5], occurred_at = at, family = family,
  }
  if not moved then event.kind = 'told' end
  return end_transfer_step(shard, carriage, moved and 'TRANSFER_RECEIVED' or 'UNCHANGED', event)
end

register('transfer_receive', receive_transfer, { 'allow-oom' })
