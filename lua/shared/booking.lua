-- Booking: quantities between the outside and one warehouse, once per op. receive, return, adjust and count share it.

-- A letter of a state in the warehouse, of the outside, or of the buffer's note.
local function is_place(text)
  return #text == 1 and string.find('aldtbscj', text, 1, true) ~= nil
end

-- lines from ARGV[first] on: a count, then sku, source, target, quantity, reason as JSON ('' for none).
local function read_bookings(args, first)
  local count = natural(args[first])
  if not count or count == 0 or #args < first + 5 * count then return nil end
  local lines = {}
  for i = 1, count do
    local at = first + 5 * (i - 1)
    local quantity = natural(args[at + 4])
    if not quantity or not is_place(args[at + 2]) or not is_place(args[at + 3]) then return nil end
    lines[i] = {
      sku = args[at + 1], source = args[at + 2], target = args[at + 3], quantity = quantity,
      reason = args[at + 5] ~= '' and args[at + 5] or nil,
    }
  end
  return lines
end

-- Only `available` may go below zero, and only because a physical fact says so.
local function damaged_shortages(shard, warehouse)
  local parts = {}
  for _, stock in ipairs(shard.loaded) do
    local damaged = count_of(stock, warehouse, 'd')
    if damaged < 0 then
      local taken = shard.taken_damaged[stock.sku] or 0
      parts[#parts + 1] = table.concat({
        '{"sku":"', stock.sku, '","warehouse":"', warehouse, '","requested":', taken,
        ',"sellable":', damaged + taken, '}',
      })
    end
  end
  return #parts > 0 and ('[' .. table.concat(parts, ',') .. ']') or nil
end

-- What a lock's record says once these units came back, by SKU in order ({sku, units} each): its field `r`; or nil and every
-- SKU of which more would have come back than was shipped for it.
local function note_returned(lock, asked)
  local left, back, skus, exceeding = {}, {}, {}, {}
  for _, line in ipairs(decode_lines(lock.n)) do left[line.sku] = (left[line.sku] or 0) + line.deducted end
  for i, known in ipairs(lock.r and cjson.decode(lock.r) or {}) do
    skus[i], back[known[1]], left[known[1]] = known[1], known[2], math.max(0, (left[known[1]] or 0) - known[2])
  end
  for _, one in ipairs(asked) do
    local sku, units = one[1], one[2]
    if units > (left[sku] or 0) then
      exceeding[#exceeding + 1] = exceeding_line({ sku = sku, warehouse = '' }, units, left[sku] or 0)
    end
    if not back[sku] then skus[#skus + 1] = sku end
    back[sku] = (back[sku] or 0) + units
  end
  if #exceeding > 0 then return nil, '[' .. table.concat(exceeding, ',') .. ']' end
  local parts = {}
  for i, sku in ipairs(skus) do parts[i] = '["' .. sku .. '",' .. back[sku] .. ']' end
  return '[' .. table.concat(parts, ',') .. ']'
end

-- The units of lines by SKU, in order of first appearance: {{sku, units}, …}.
local function units_by_sku(lines)
  local asked, index = {}, {}
  for _, line in ipairs(lines) do
    if not index[line.sku] then
      index[line.sku] = { line.sku, 0 }
      asked[#asked + 1] = index[line.sku]
    end
    index[line.sku][2] = index[line.sku][2] + line.quantity
  end
  return asked
end

local OUTSIDE, SHELVES_OF_UNITS, book_claims, reported_by_route, book_reported, waiting_of

do
  OUTSIDE = { receive = 's', ['return'] = 'c', adjust = 'j' }
  SHELVES_OF_UNITS = { 'a', 'd' }

  -- Books by how much a document's units in a warehouse change, state by state: what turned out to be in another condition
  -- is moved between the two first.
  local function move_units(shard, kind, stock, warehouse, change, at, reason)
    local units, outside = { change[1], change[2] }, OUTSIDE[kind]
    if kind ~= 'adjust' and units[1] * units[2] < 0 then
      local some = math.min(math.abs(units[1]), math.abs(units[2]))
      local from, to = 1, 2
      if units[1] > 0 then from, to = 2, 1 end
      fact_move(shard, stock, warehouse, SHELVES_OF_UNITS[from], SHELVES_OF_UNITS[to], some, reason, nil, at)
      units[from], units[to] = units[from] + some, units[to] - some
    end
    for state = 1, 2 do
      local shelf = SHELVES_OF_UNITS[state]
      if units[state] > 0 then fact_move(shard, stock, warehouse, outside, shelf, units[state], reason, nil, at) end
      if units[state] < 0 then fact_move(shard, stock, warehouse, shelf, outside, -units[state], reason, nil, at) end
    end
  end

  -- Books what a SKU's claims come to; returns by how much all of it is more than before.
  -- `said`: what was said now of a document in a warehouse, and `at` when that happened, if it was said.
  book_claims = function(shard, kind, sums, stock, document, warehouse, said, at, reason)
    local own, more = { 0, 0, 0 }, 0
    for _, change in ipairs(rebook(sums, arrivals_to_book(sums.claims, sums.lead))) do
      move_units(shard, kind, stock, change.warehouse, change.units, at, reason)
      more = more + change.units[1] + change.units[2] + change.units[3]
      if change.document == document and change.warehouse == warehouse then own = change.units
      else note_times(shard, stock, sums, change.document, change.warehouse, { 0, 0, 0 }, change.units, at) end
    end
    note_times(shard, stock, sums, document, warehouse, said, own, at)
    return more
  end

  local UNIT_OF_SHELF = { a = 1, d = 2 }

  -- What some lines say, by state.
  local function units_of(lines)
    local units = { 0, 0, 0 }
    for _, line in ipairs(lines) do
      local from, to = UNIT_OF_SHELF[line.source], UNIT_OF_SHELF[line.target]
      if from then units[from] = units[from] - line.quantity end
      if to then units[to] = units[to] + line.quantity end
    end
    return units
  end

  -- Whether a route reported this document before its op was forgotten: nil, REPEATED or ID_REUSED.
  reported_by_route = function(family, warehouse, lines)
    if #family.known == 0 then return nil end
    local known = false
    for _, sku in ipairs(family.known) do
      local _, any = said_in_all(sums_of(family, sku), '', ROUTE)
      known = known or any
    end
    if not known then return nil end
    local same, lines_of = true, by_sku(lines)
    for _, sku in ipairs(family.known) do
      local sums = sums_of(family, sku)
      local said, here = said_in_all(sums, '', ROUTE), said_in_all(sums, '', ROUTE, warehouse)
      local asked = units_of(lines_of[sku] or {})
      for state = 1, 2 do same = same and said[state] == asked[state] and here[state] == said[state] end
    end
    return same and 'REPEATED' or 'ID_REUSED'
  end

  -- Books lines of SKUs that nobody has reported, and claims what they say: a SKU's good and damaged units together. `more`
  -- notes of each SKU by how many units it is more.
  local function book_unreported(shard, family, warehouse, lines, at, reported, more)
    local order, said = {}, {}
    local row, time = '["","' .. warehouse .. '",', ',' .. text_of(shard.now) .. ']'
    for _, line in ipairs(lines) do
      local sku, quantity = line.sku, line.quantity
      if not reported[sku] then
        fact_move(shard, load_stock(shard, sku, warehouse), warehouse, line.source, line.target, quantity, line.reason, nil, at)
        local its = said[sku]
        if not its then
          its = { 0, 0, '' }
          said[sku], order[#order + 1] = its, sku
        end
        local from, to = UNIT_OF_SHELF[line.source], UNIT_OF_SHELF[line.target]
        if from then its[from] = its[from] - quantity end
        if to then its[to] = its[to] + quantity end
        its.any = its.any or (quantity > 0 and from ~= to)
        for state = 1, (at or quantity == 0 or from == to) and 0 or 2 do
          if state == from or state == to then
            its[3] = its[3] .. (its[3] ~= '' and ',' or '') .. row .. state .. ',' .. text_of(quantity) .. time
          end
        end
        more(sku, quantity)
      end
    end
    for _, sku in ipairs(order) do
      local its = said[sku]
      new_claim(family, sku, '', warehouse, its.any and (text_of(its[1]) .. ',' .. text_of(its[2]) .. ',0') or '', its[3], '')
    end
    family.changed = family.changed or #order > 0
  end

  -- Books lines of a route under its document: those that nobody else reported, then the other SKUs. Returns by how many
  -- units each SKU is more than before: {{sku, units}, …}.
  book_reported = function(shard, kind, family, warehouse, lines, at)
    local more, index = {}, {}
    local function note(sku, units)
      if not index[sku] then
        index[sku] = { sku, 0 }
        more[#more + 1] = index[sku]
      end
      index[sku][2] = index[sku][2] + units
    end
    local reported = {}
    for _, sku in ipairs(family.known) do reported[sku] = true end
    book_unreported(shard, family, warehouse, lines, at, reported, note)
    if not next(reported) then return more end
    local lines_of = by_sku(lines)
    for _, line in ipairs(lines) do
      if reported[line.sku] then
        reported[line.sku] = nil
        local said, sums = units_of(lines_of[line.sku]), sums_to_change(family, line.sku)
        claim_units(sums, '', warehouse, ROUTE, said)
        local stock = load_stock(shard, line.sku, warehouse)
        note(line.sku, book_claims(shard, kind, sums, stock, '', warehouse, said, at, line.reason))
        family.changed = family.changed or sums.changed
      end
    end
    return more
  end

  -- What a route said and nobody has booked yet, for a person: [{"sku", "warehouse"}, …] as JSON, '' for nothing.
  waiting_of = function(family, warehouse, lines)
    local parts, seen = {}, {}
    for _, line in ipairs(lines) do
      -- Of a SKU that was not known nobody else has said anything.
      local sums = not seen[line.sku] and family.known[line.sku] and sums_of(family, line.sku)
      if sums and not is_accounted_for(sums, '', warehouse, ROUTE) then
        parts[#parts + 1] = '{"sku":"' .. line.sku .. '","warehouse":"' .. warehouse .. '"}'
      end
      seen[line.sku] = true
    end
    return #parts > 0 and ('[' .. table.concat(parts, ',') .. ']') or ''
  end
end

-- Books what a count found. Where that is what is there it is no move: the SKU's version stays, and so do the pages that show
-- it. Gives what the count says of those instead, as the event's document: `skus`, {sku -> 1 if damaged ones were counted}.
local function book_counts(shard, warehouse, lines, at)
  local skus, agreed = {}, {}
  for _, line in ipairs(lines) do
    local stock = load_stock(shard, line.sku, warehouse)
    if line.quantity == 0 and stock.counts[fields_of(warehouse).a] then
      if not agreed[line.sku] then skus[#skus + 1], agreed[line.sku] = line.sku, 0 end
      if line.source == 'd' or line.target == 'd' then agreed[line.sku] = 1 end
    else
      fact_move(shard, stock, warehouse, line.source, line.target, line.quantity, line.reason, nil, at)
    end
  end
  if #skus == 0 then return nil end
  for i, sku in ipairs(skus) do skus[i] = '"' .. sku .. '":' .. agreed[sku] end
  -- Workers of the version before ask every document that has fields for `s` and `n`.
  return '["count","' .. warehouse .. '",{"s":"","n":[],"skus":{' .. table.concat(skus, ',') .. '}}]'
end

-- ARGV 1 epoch  2 who  3 op, which is the document's family too  4 fingerprint  5 occurred_at in ms ('' for now)
--      6 warehouse  7 what the event says of its document, as JSON ('' for nothing)  8… lines
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT, REPEATED,
--   ID_REUSED, UNKNOWN_LOCK (a return of a lock), UNCHANGED (others reported all of it), MOVED_SINCE (a count),
--   QUANTITY_EXCEEDS_SHIPMENT, BEYOND_ON_HAND (a write-off that must be on hand), INSUFFICIENT_DAMAGED, QUANTITY_TOO_LARGE,
--   then `outcome`: {outcome, op, position, what others contradict and a person has to decide, as JSON}.
-- `lock_id`: the lock whose shipments come back, if it is known.
-- `since`: of a count, the position up to which its difference knows what happened ('' for all).
-- `only_on_hand`: whether it may not take more than is on the shelf.
local function book(keys, args, kind, outcome, lock_id, since, only_on_hand)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local op, fingerprint, warehouse = args[3], args[4], args[6]
  local lines = read_bookings(args, 8)
  local occurred_at = moment(args[5])
  if not lines or (args[5] ~= '' and not occurred_at) then return { 'INVALID_ARGUMENT', op or '' } end
  local known = load_op(shard, op)
  if known and known.fingerprint == TOLD then -- by events of an older version, a SKU at a time
    lines = untold_lines(shard, op, lines, function() return { warehouse } end)
    if lines and #lines == 0 then return { 'REPEATED', op, known.position } end
  end
  if known and (not lines or known.fingerprint ~= TOLD) then
    if not lines or known.fingerprint ~= fingerprint then return { 'ID_REUSED', op } end
    return { 'REPEATED', op, known.position }
  end
  local family = not since and load_whole_family(shard, op) or nil
  local before = family and reported_by_route(family, warehouse, lines)
  if before == 'REPEATED' then return { before, op, shard.last } end
  if before then return { before, op } end
  local counted_at = since and (occurred_at or shard.now)
  local lock = lock_id and load_lock(shard, lock_id)
  if lock_id and not lock then return { 'UNKNOWN_LOCK', op } end
  if since and happened_since(shard, since, warehouse, lines, counted_at) then return { 'MOVED_SINCE', op } end
  local at = counted_at and counted_at + 1 or occurred_at -- of two counts the later one stands
  local shelves = only_on_hand and shelves_of(shard, lines, warehouse)
  local asked = family and book_reported(shard, kind, family, warehouse, lines, at)
  local counted = not family and book_counts(shard, warehouse, lines, at) or nil
  local returned, exceeding
  if lock then
    returned, exceeding = note_returned(lock, asked)
    if not returned then return { 'QUANTITY_EXCEEDS_SHIPMENT', op, exceeding } end
  end
  local beyond = shelves and missing_from(shelves)
  if beyond then return { 'BEYOND_ON_HAND', op, beyond } end
  shard.taken_damaged = {}
  for _, line in ipairs(lines) do
    if line.source == 'd' then
      shard.taken_damaged[line.sku] = (shard.taken_damaged[line.sku] or 0) + line.quantity
    end
  end
  local shortages = damaged_shortages(shard, warehouse)
  if shortages then return { 'INSUFFICIENT_DAMAGED', op, shortages } end
  if not counts_fit(shard) then return { 'QUANTITY_TOO_LARGE', op } end
  local counts_or_moves = since or #shard.moves > 0
  local event = {
    kind = counts_or_moves and kind or 'told', op = op, fingerprint = fingerprint, occurred_at = occurred_at, family = family,
  }
  local changes = lock and { r = returned } -- no answer shows it: the version stays
  if lock then event.lock_id, event.lock = lock_id, encode_changes(changes) end
  event.document = args[7] ~= '' and args[7] or counted
  local waiting = family and waiting_of(family, warehouse, lines) or ''
  local position = commit(shard, event)
  if not position then return { 'NOT_READY', op } end
  if lock then write_lock(shard, lock, changes) end
  if counted_at then note_counts(shard, warehouse, lines, counted_at) end
  write_op(shard, event, position)
  if family and not family.changed and waiting == '' then return { 'UNCHANGED', op, position } end
  return { outcome, op, position, waiting }
end
