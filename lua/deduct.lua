-- deduct: what was locked left the shelf, because it shipped. The first deduct confirms.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id  4 op (of the shipment)  5 fingerprint  6 occurred_at in ms ('' for now)
--       7 `1` if it must be on hand ('': it has left, whatever the counts say)
--       8… lines (a count, then sku, quantity, warehouse or ''); without them: all that is left
-- Event deduct, moves locked -> customer; `told`, without moves, where all of it was reported by others.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   REPEATED, ID_REUSED, SHIPMENT_VOIDED (it never left), UNKNOWN_LOCK, UNCHANGED (others reported all of it), LOCK_EXPIRED, LOCK_NOT_HELD, WAREHOUSE_REQUIRED,
--   QUANTITY_EXCEEDS_LOCK, BEYOND_ON_HAND (it must be, and is not: all that is beyond), QUANTITY_TOO_LARGE, DEDUCTED.

-- Of a shipment that an older version's events told of: the lines they did not, or an answer.
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

-- The answer to a shipment that a route reported, and whose op is not remembered any more; nil if none did.
local function reported_before(shard, lock, family, document, wanted)
  if #family.known == 0 then return nil end
  local known, asked, left = false, {}, 0
  for _, line in ipairs(wanted or {}) do asked[line.sku] = (asked[line.sku] or 0) + line.quantity end
  local same = true
  for _, sku in ipairs(family.known) do
    local units, any = said_by_route(family, sku, document)
    known, left = known or any, left + units[1]
    same = same and (not wanted or units[1] == (asked[sku] or 0))
  end
  if not known then return nil end
  if left == 0 then return { 'SHIPMENT_VOIDED', lock.id } end
  return same and lock_answer('UNCHANGED', lock, shard.last) or { 'ID_REUSED', lock.id }
end

-- Where the units of a SKU left from that others reported, too: {{warehouse, units}, …}; or nil and an answer.
local function find_places(order, sums, document, want, quantity)
  if want.warehouse ~= '' then return { { want.warehouse, quantity } } end
  local places, left = {}, quantity
  local function take(warehouse, units)
    units = math.min(left, units)
    if units > 0 then places[#places + 1], left = { warehouse, units }, left - units end
  end
  local theirs = greatest_place(sums, document, ROUTE)
  for _, warehouse in ipairs(theirs or {}) do take(warehouse, theirs.of[warehouse]) end
  local holding
  for _, line in ipairs(order.live and order.of[want.sku] or {}) do
    if left > 0 and line.quantity > line.deducted then
      if holding then return nil, { 'WAREHOUSE_REQUIRED', order.lock.id, want.sku } end
      holding = line
    end
  end
  if holding then take(holding.warehouse, holding.quantity - holding.deducted) end
  local own = said_by_place(sums)
  for _, one in ipairs(sums.booked) do take(one.warehouse, one.units[1] - (own[one.warehouse] or 0)) end
  if left > 0 then places[#places + 1] = { places[1] and places[1][1] or '', left } end
  return places
end

-- All that is left of a SKU that others reported, too: what they say of the document, and what is not shipped yet.
local function all_places(order, sums, document, sku)
  local places = {}
  local theirs = greatest_place(sums, document, ROUTE)
  for _, warehouse in ipairs(theirs or {}) do places[#places + 1] = { warehouse, theirs.of[warehouse] } end
  for _, line in ipairs(order.live and order.of[sku] or {}) do
    if line.quantity > line.deducted then
      places[#places + 1] = { line.warehouse, line.quantity - line.deducted }
    end
  end
  if #places > 0 then return places end
  local own = said_by_place(sums)
  for _, one in ipairs(sums.booked) do
    local units = one.units[1] - (own[one.warehouse] or 0)
    if units > 0 then places[#places + 1] = { one.warehouse, units } end
  end
  return places
end

-- What the route says of SKUs that others reported, too, in their order: {{sku, places}, …}; or nil and an answer.
local function places_of(order, family, document, wanted)
  local found = {}
  if not wanted then
    for _, sku in ipairs(skus_of(order.lines)) do
      if is_reported(family, sku) then
        local places = all_places(order, sums_of(family, sku), document, sku)
        if #places > 0 then found[#found + 1] = { sku, places } end
      end
    end
    return found
  end
  local asked, index = {}, {}
  for _, want in ipairs(wanted) do
    local name = want.sku .. '\n' .. want.warehouse
    if not index[name] then
      index[name] = { want = want, quantity = 0 }
      asked[#asked + 1] = index[name]
    end
    index[name].quantity = index[name].quantity + want.quantity
  end
  local places_of_sku = {}
  for _, one in ipairs(asked) do
    local sku = one.want.sku
    local places, refused = find_places(order, sums_of(family, sku), document, one.want, one.quantity)
    if not places then return nil, refused end
    local all = places_of_sku[sku]
    if all then
      for _, place in ipairs(places) do all[#all + 1] = place end
    else
      places_of_sku[sku], found[#found + 1] = places, { sku, places }
    end
  end
  return found
end

-- Books what others reported, too. Returns an answer if that is more than the lock has left.
local function ship_reported(shard, order, family, document, asked, at)
  local exceeding = {}
  for _, one in ipairs(asked) do
    local sku, places = one[1], one[2]
    local sums, stock = sums_to_change(family, sku), load_stock(shard, sku, places[1][1])
    local _, left = promised_to(order, sku)
    local requested = 0
    for _, place in ipairs(places) do
      claim_units(sums, document, place[1], ROUTE, { place[2], 0, 0 })
      requested = requested + place[2]
    end
    local changes, net = ship_claims(shard, order, sums, stock, at), 0
    for _, change in ipairs(changes) do net = net + change.units[1] end
    if net > left then exceeding[#exceeding + 1] = exceeding_line({ sku = sku, warehouse = '' }, requested, left) end
    note_places(shard, stock, sums, places, changes, at)
  end
  if #exceeding == 0 then return nil end
  if not is_open(order.lock) then return illegal(shard, order.lock) end
  local answer = lock_answer('QUANTITY_EXCEEDS_LOCK', order.lock, '')
  answer[8] = '[' .. table.concat(exceeding, ',') .. ']'
  return answer
end

-- Books what nobody else reported, from where it is locked.
local function ship_plain(shard, order, family, document, taken, at)
  for _, line in ipairs(order.lines) do
    local quantity = taken[line] or 0
    if quantity > 0 then
      local stock = load_stock(shard, line.sku, line.warehouse)
      fact_move(shard, stock, line.warehouse, 'l', 'c', quantity, nil, nil, at)
      line.deducted = line.deducted + quantity
      ship_only_claim(family, line.sku, document, line.warehouse, quantity, not at and shard.now or nil)
    end
  end
end

-- The wanted lines (nil for all that is left) of SKUs that others reported, and of those that they did not.
local function part_lines(family, wanted)
  if not wanted then return nil, nil end
  local reported, plain = {}, {}
  for _, want in ipairs(wanted) do
    local list = is_reported(family, want.sku) and reported or plain
    list[#list + 1] = want
  end
  return reported, plain
end

local function take_plain(order, family, plain)
  if (plain and #plain == 0) or not is_open(order.lock) then return {} end
  local taken, refused = take_lines(order.lock, order.lines, plain, false, order.of)
  if not taken or plain then return taken, refused end
  for line in pairs(taken) do
    if is_reported(family, line.sku) then taken[line] = 0 end
  end
  return taken
end

-- The shelves where a shipment may take more than is there, as they are before it is staged.
local function shelves_to_take(shard, order, taken, asked)
  local places = {}
  for _, line in ipairs(order.lines) do
    local quantity = taken[line] or 0
    if quantity > 0 and on_hand_of(load_stock(shard, line.sku, line.warehouse), line.warehouse) < quantity then
      places[#places + 1] = line
    end
  end
  for _, one in ipairs(asked) do
    for _, place in ipairs(one[2]) do places[#places + 1] = { sku = one[1], warehouse = place[1] } end
  end
  return shelves_of(shard, places)
end

-- Stages a shipment; returns as JSON what of it was not on the shelf, or nil and an answer.
local function ship(shard, order, family, document, taken, asked, at)
  local shelves = shelves_to_take(shard, order, taken, asked)
  ship_plain(shard, order, family, document, taken, at)
  local refused = ship_reported(shard, order, family, document, asked, at)
  return missing_from(shelves), refused
end

local function beyond_answer(shard, lock, beyond)
  local answer = lock_answer('BEYOND_ON_HAND', lock, shard.last)
  answer[8], answer[9] = '', beyond
  return answer
end

local function end_shipment(shard, order, event, beyond)
  local lock = order.lock
  if not counts_fit(shard) then return { 'QUANTITY_TOO_LARGE', lock.id } end
  event.keeps_quantities = order.same
  if #shard.moves == 0 then
    event.kind = 'told'
    return end_step(shard, lock, 'UNCHANGED', event, { v = lock.v })
  end
  local changes = changes_of_order(order)
  changes.m = beyond
  return end_step(shard, lock, 'DEDUCTED', event, changes)
end

local function is_voided(keys, op)
  return load_op({ tag = tag_of(keys[1]) }, op).fingerprint == VOID
end

local function deduct(keys, args)
  local valid, wanted = read_wanted(args, 8)
  local occurred_at, only_on_hand = moment(args[6]), args[7] == '1'
  valid = valid and (occurred_at or args[6] == '') and (only_on_hand or args[7] == '')
  local shard, lock, answer = begin_step(keys, args, valid)
  if answer and answer[1] == 'ID_REUSED' and is_voided(keys, args[4]) then return { 'SHIPMENT_VOIDED', args[3] } end
  if not answer and shard.told then wanted, answer = untold_of_lock(shard, lock, args[4], wanted) end
  if answer then return answer end
  local order, document = order_of(lock), string.match(args[4], '^[^{]*{(.*)$') or ''
  local family = load_family(shard, 'deduct:' .. lock.id, skus_of(wanted or order.lines))
  answer = reported_before(shard, lock, family, document, wanted)
  if answer then return answer end
  local reported, plain = part_lines(family, wanted)
  if not is_open(lock) and (wanted and #plain > 0) then return illegal(shard, lock) end
  local taken, refused = take_plain(order, family, plain)
  if not taken then return refused end
  local asked
  asked, refused = places_of(order, family, document, reported)
  if not asked then return refused end
  if not is_open(lock) and #asked == 0 then return illegal(shard, lock) end
  local beyond
  beyond, refused = ship(shard, order, family, document, taken, asked, occurred_at)
  if refused then return refused end
  if beyond and only_on_hand then return beyond_answer(shard, lock, beyond) end
  local event = { kind = 'deduct', op = args[4], fingerprint = args[5], occurred_at = occurred_at, family = family }
  return end_shipment(shard, order, event, beyond)
end

register('deduct', deduct, { 'allow-oom' })
