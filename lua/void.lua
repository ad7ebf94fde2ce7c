-- void: a shipment of a lock never left: its units are on the shelf, and promised to the order again.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id  4 op (of the voiding)  5 fingerprint  6 op of the shipment
--       7 when that happened in ms ('' for now): what was counted since has counted the units, and stands
--       8 reason as JSON ('' for none)
--       9… what the shipment took, as the ledger has it (a count, then sku, quantity, warehouse); without: it was voided
--       before, as the ledger has it
-- Event void, moves customer -> locked. From then on the shipment's id is one of a voided shipment, and the routes' word of
--   it is that nothing left.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT, REPEATED,
--   UNKNOWN_LOCK, UNCHANGED (it was voided before), SHIPMENT_REPORTED (others say that it, or some of its goods, left),
--   SHIPMENT_RETURNED (with every SKU of which some came back), QUANTITY_TOO_LARGE, VOIDED.

-- Whether events of an older version told of the shipment, whole or line by line; of SKUs with sums none did.
local function was_told(shard, shipment_op, lines, family)
  local shipment = load_op(shard, shipment_op)
  if shipment and shipment.fingerprint == TOLD then return true end
  for _, line in ipairs(lines) do
    if not family.known[line.sku] and load_op(shard, told_op(shipment_op, line.sku, line.warehouse)) then return true end
  end
  return false
end

-- Whether others than the routes say that some of a shipment left.
local function is_claimed(sums, document)
  for _, claim in ipairs(sums.claims) do
    if claim.document == document and claim.reporter ~= ROUTE and claim.units[1] > 0 then return true end
  end
  return false
end

-- What has shipped and not come back: {sku -> units}.
local function unreturned(lock, lines)
  local left = {}
  for _, line in ipairs(lines) do left[line.sku] = (left[line.sku] or 0) + line.deducted end
  for _, back in ipairs(lock.r and cjson.decode(lock.r) or {}) do
    left[back[1]] = math.max(0, (left[back[1]] or 0) - back[2])
  end
  return left
end

-- SKUs of which more is taken back than is `left`, as JSON; nil for none.
local function beyond_unreturned(left, taken)
  local exceeding = {}
  for _, one in ipairs(units_by_sku(taken)) do
    local sku, units = one[1], one[2]
    if units > (left[sku] or 0) then
      exceeding[#exceeding + 1] = exceeding_line({ sku = sku, warehouse = '' }, units, left[sku] or 0)
    end
  end
  return #exceeding > 0 and ('[' .. table.concat(exceeding, ',') .. ']') or nil
end

-- Takes back what the routes said of a SKU. Returns how many units of each warehouse have left in the shipment by
-- their word: of a shipment of an older version they have said nothing yet.
local function take_word_back(order, sums, document, lines)
  local places, said, is_new = {}, said_by_place(sums, document), false
  for _, line in ipairs(lines) do
    local units = said[line.warehouse]
    if not units then
      units, is_new = line.quantity, true
      claim_units(sums, document, line.warehouse, ROUTE, { units, 0, 0 })
    end
    places[line.warehouse] = units
  end
  if is_new then rebook(sums, shipments_to_book(sums.claims, sums.lead, (promised_to(order, lines[1].sku)))) end
  for warehouse, units in pairs(places) do claim_units(sums, document, warehouse, ROUTE, { -units, 0, 0 }) end
  return places
end

-- Stages that a line's units never left, where nobody but the routes has said anything of its SKU; false if others have, or
-- nothing is staged.
local function unship_plain(shard, order, family, document, line, at)
  local held = order.live and line_at(order.of[line.sku] or {}, line.warehouse)
  if not held or held.deducted < line.quantity then return false end
  if not unship_only_claim(family, line.sku, document, line.warehouse, line.quantity) then return false end
  local stock = load_stock(shard, line.sku, line.warehouse)
  fact_move(shard, stock, line.warehouse, 'c', 'l', line.quantity, order.less, nil, at)
  held.deducted = held.deducted - line.quantity
  return true
end

-- Stages that a SKU's units never left; false if some of them did, by another's word.
local function unship(shard, order, sums, document, lines, at)
  local stock, less = load_stock(shard, lines[1].sku, lines[1].warehouse), {}
  local places = take_word_back(order, sums, document, lines)
  local changes = ship_claims(shard, order, sums, stock, at)
  for _, change in ipairs(changes) do
    if change.units[1] ~= -(places[change.warehouse] or 0) then return false end
    less[change.warehouse] = true
  end
  for _, line in ipairs(lines) do
    if not less[line.warehouse] or places[line.warehouse] ~= line.quantity then return false end
  end
  note_places(shard, stock, sums, {}, changes, at)
  return true
end

-- Stages all of it, SKU by SKU; false if others say that some of it left.
local function unship_all(shard, order, family, document, taken, at)
  local lines_of_sku = by_sku(taken)
  for _, sku in ipairs(skus_of(taken)) do
    local lines = lines_of_sku[sku]
    if #lines > 1 or not unship_plain(shard, order, family, document, lines[1], at) then
      local sums = sums_to_change(family, sku)
      if is_claimed(sums, document) then return false end
      if not unship(shard, order, sums, document, lines, at) then return false end
    end
  end
  return true
end

local function end_void(shard, order, args, family, at)
  local lock, changes = order.lock, changes_of_order(order)
  if lock.s == 'deducted' then changes.w = note_ending(shard, lock) end
  local event = {
    kind = 'void', op = args[4], fingerprint = args[5], reason = args[8] ~= '' and args[8] or nil, occurred_at = at,
    told = '[[["' .. args[6] .. '","' .. VOID .. '",""]],null]', keeps_quantities = order.same, family = family,
  }
  local answer = end_step(shard, lock, 'VOIDED', event, changes)
  if answer[1] == 'VOIDED' then write_op(shard, { op = args[6], fingerprint = VOID }, answer[3]) end
  return answer
end

local function void(keys, args)
  local fine, taken = read_wanted(args, 9)
  local at = moment(args[7])
  local valid = fine and (args[6] or '') ~= '' and (at or args[7] == '') and args[8]
  local shard, lock, answer = begin_step(keys, args, valid)
  if answer then return answer end
  if not taken then return lock_answer('UNCHANGED', lock, shard.last) end
  taken = merge_lines(taken)
  local order, document = order_of(lock), reported_document(args[6])
  local left = unreturned(lock, order.lines)
  local family = load_family(shard, 'deduct:' .. lock.id, skus_of(taken))
  order.less = nil
  if was_told(shard, args[6], taken, family) or not unship_all(shard, order, family, document, taken, at) then
    return lock_answer('SHIPMENT_REPORTED', lock, shard.last)
  end
  local exceeding = beyond_unreturned(left, taken)
  if exceeding then
    answer = lock_answer('SHIPMENT_RETURNED', lock, shard.last)
    answer[8] = exceeding
    return answer
  end
  if not counts_fit(shard) then return { 'QUANTITY_TOO_LARGE', lock.id } end
  return end_void(shard, order, args, family, at)
end

register('void', void, { 'allow-oom' })
