-- transfer_ship: what was promised to a transfer left the source, and is on the way.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 transfer_id  4 op (of the shipment)  5 fingerprint  6 occurred_at in ms ('' for now)
--       7… lines (a count, then sku, quantity, ''); without them: all that is left
-- Event transfer_ship, moves locked at the source -> in_transit at the destination; `told` if others reported all of it.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   REPEATED, ID_REUSED, UNKNOWN_TRANSFER, UNCHANGED (others reported all of it), TRANSFER_NOT_OPEN (nothing is left to ship),
--   QUANTITY_EXCEEDS_TRANSFER, QUANTITY_TOO_LARGE, TRANSFER_SHIPPED.

-- All that is left of a SKU that others reported, too.
local function all_units(sums, document, line)
  local theirs = sums and greatest_place(sums, document, ROUTE)
  local units = (theirs and theirs.total or 0) + unshipped(line)
  if units > 0 or not sums then return units end
  for _, one in ipairs(sums.booked) do units = units + one.units[1] end
  return math.max(0, units - said_in_all(sums, nil, ROUTE)[1])
end

-- What each line ships: {line -> units}, of those that others reported, and of the others; or nil and an answer.
local function asked_of(carriage, family, document, wanted)
  local reported, plain, any = {}, {}, false
  local sums, index = {}, {}
  if wanted then sums, index = sum_by_sku(wanted, {}) end
  for _, line in ipairs(carriage.lines) do
    local known = is_reported(family, line.sku) or carriage.implied_of[line.sku] ~= nil
    local units = index[line.sku] and index[line.sku].quantity or 0
    if not wanted then units = known and all_units(sums_of(family, line.sku), document, line) or unshipped(line) end
    if units > 0 and known then reported[line], any = units, true end
    if units > 0 and not known then plain[line] = units end
  end
  return reported, plain, any, sums
end

local function exceeding_answer(transfer, exceeding)
  local answer = transfer_answer('QUANTITY_EXCEEDS_TRANSFER', transfer, '')
  answer[8] = '[' .. table.concat(exceeding, ',') .. ']'
  return answer
end

local function ship_transfer(keys, args)
  local valid, wanted = read_wanted(args, 7)
  local at = moment(args[6])
  local shard, transfer, answer = begin_transfer_step(keys, args, valid and (at or args[6] == ''))
  if answer then return answer end
  local carriage, document = carriage_of(transfer), reported_document(args[4])
  if shard.told then
    wanted, answer = untold_of_transfer(shard, transfer, transfer.a, args[4], wanted)
    if answer then return answer end
  end
  local skus, asked_before = {}, wanted and {} or nil
  for i, line in ipairs(wanted or carriage.lines) do
    skus[i] = line.sku
    if wanted then
      asked_before[line.sku] = asked_before[line.sku] or { 0, 0, 0 }
      asked_before[line.sku][1] = asked_before[line.sku][1] + line.quantity
    end
  end
  local family = load_family(shard, 'transfer_ship:' .. transfer.id, skus)
  answer = carried_before(shard, transfer, family, document, asked_before)
  if answer then return answer end
  local reported, plain, any, sums = asked_of(carriage, family, document, wanted)
  if not any and sum_of(carriage.lines, unshipped) == 0 then return transfer_answer('TRANSFER_NOT_OPEN', transfer, shard.last) end
  local exceeding = {}
  for _, sum in ipairs(sums) do
    local line = carried(carriage, sum.sku)
    local left = line and unshipped(line) or 0
    if not (line and reported[line]) and sum.quantity > left then
      exceeding[#exceeding + 1] = exceeding_line({ sku = sum.sku, warehouse = '' }, sum.quantity, left)
    end
  end
  if #exceeding > 0 then return exceeding_answer(transfer, exceeding) end
  for _, line in ipairs(carriage.lines) do
    local units, left = reported[line], unshipped(line)
    if plain[line] then
      local stock = load_stock(shard, line.sku, transfer.a)
      ship_only_carried(shard, carriage, family, line, stock, document, plain[line], at)
    elseif units then
      local stock, its = load_stock(shard, line.sku, transfer.a), sums_to_change(family, line.sku)
      claim_units(its, document, transfer.a, ROUTE, { units, 0, 0 })
      local beyond = ship_carried(shard, carriage, its, line, stock, units, at)
      if beyond > 0 then
        exceeding[#exceeding + 1] = exceeding_line({ sku = line.sku, warehouse = '' }, units, left)
      end
    end
  end
  if #exceeding > 0 then return exceeding_answer(transfer, exceeding) end
  local moved = #shard.moves > 0
  local event = {
    kind = 'transfer_ship', op = args[4], fingerprint = args[5], occurred_at = at, family = family,
  }
  if not moved then event.kind = 'told' end
  return end_transfer_step(shard, carriage, moved and 'TRANSFER_SHIPPED' or 'UNCHANGED', event)
end

register('transfer_ship', ship_transfer, { 'allow-oom' })
