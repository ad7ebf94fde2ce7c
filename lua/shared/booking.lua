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
      local taken = shard.taken_damaged[stock.sku]
      parts[#parts + 1] = table.concat({
        '{"sku":"', stock.sku, '","warehouse":"', warehouse, '","requested":', taken,
        ',"sellable":', damaged + taken, '}',
      })
    end
  end
  return #parts > 0 and ('[' .. table.concat(parts, ',') .. ']') or nil
end

-- What a lock's record says once these lines came back: its field `r`; or nil and every SKU of which more would
-- have come back than was shipped for it.
local function note_returned(lock, lines)
  local left, back, skus, exceeding = {}, {}, {}, {}
  for _, line in ipairs(decode_lines(lock.n)) do left[line.sku] = (left[line.sku] or 0) + line.deducted end
  for i, known in ipairs(lock.r and cjson.decode(lock.r) or {}) do
    skus[i], back[known[1]], left[known[1]] = known[1], known[2], math.max(0, (left[known[1]] or 0) - known[2])
  end
  local asked, order = {}, {}
  for _, line in ipairs(lines) do
    if not asked[line.sku] then order[#order + 1] = line.sku end
    asked[line.sku] = (asked[line.sku] or 0) + line.quantity
  end
  for _, sku in ipairs(order) do
    if asked[sku] > (left[sku] or 0) then
      exceeding[#exceeding + 1] = exceeding_line({ sku = sku, warehouse = '' }, asked[sku], left[sku] or 0)
    end
    if not back[sku] then skus[#skus + 1] = sku end
    back[sku] = (back[sku] or 0) + asked[sku]
  end
  if #exceeding > 0 then return nil, '[' .. table.concat(exceeding, ',') .. ']' end
  local parts = {}
  for i, sku in ipairs(skus) do parts[i] = '["' .. sku .. '",' .. back[sku] .. ']' end
  return '[' .. table.concat(parts, ',') .. ']'
end

-- Books the lines. A count that finds what is there is no move: the SKU's version stays, and so do the pages that show it.
-- Gives what a count says of those instead, as the event's document: `skus`, {sku -> 1 if damaged ones were counted}.
local function book_lines(shard, warehouse, lines, at, is_count)
  shard.taken_damaged = {}
  local skus, agreed = {}, {}
  for _, line in ipairs(lines) do
    local stock = load_stock(shard, line.sku, warehouse)
    if is_count and line.quantity == 0 and stock.counts[fields_of(warehouse).a] then
      if not agreed[line.sku] then skus[#skus + 1], agreed[line.sku] = line.sku, 0 end
      if line.source == 'd' or line.target == 'd' then agreed[line.sku] = 1 end
    else
      fact_move(shard, stock, warehouse, line.source, line.target, line.quantity, line.reason, nil, at)
    end
    if line.source == 'd' then
      shard.taken_damaged[line.sku] = (shard.taken_damaged[line.sku] or 0) + line.quantity
    end
  end
  if #skus == 0 then return nil end
  for i, sku in ipairs(skus) do skus[i] = '"' .. sku .. '":' .. agreed[sku] end
  -- Workers of the version before ask every document that has fields for `s` and `n`.
  return '["count","' .. warehouse .. '",{"s":"","n":[],"skus":{' .. table.concat(skus, ',') .. '}}]'
end

-- ARGV 1 epoch  2 who  3 op  4 fingerprint  5 occurred_at in ms ('' for now)  6 warehouse
--      7 what the event says of its document, as JSON ('' for nothing)  8… lines
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT, REPEATED,
--   ID_REUSED, UNKNOWN_LOCK (a return of a lock), MOVED_SINCE (a count), QUANTITY_EXCEEDS_SHIPMENT, INSUFFICIENT_DAMAGED,
--   QUANTITY_TOO_LARGE, then `outcome`: {outcome, op, position}.
-- `lock_id`: the lock whose shipments come back, if it is known.
-- `since`: of a count, the position up to which its difference knows what happened ('' for all).
local function book(keys, args, kind, outcome, lock_id, since)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local op, fingerprint, warehouse = args[3], args[4], args[6]
  local lines = read_bookings(args, 8)
  local occurred_at = moment(args[5])
  if not lines or (args[5] ~= '' and not occurred_at) then return { 'INVALID_ARGUMENT', op or '' } end
  local known = load_op(shard, op)
  if known and known.fingerprint == TOLD then -- by events of the inbox, a SKU at a time
    lines = untold_lines(shard, op, lines, function() return { warehouse } end)
    if lines and #lines == 0 then return { 'REPEATED', op, known.position } end
  end
  if known and (not lines or known.fingerprint ~= TOLD) then
    if not lines or known.fingerprint ~= fingerprint then return { 'ID_REUSED', op } end
    return { 'REPEATED', op, known.position }
  end
  local counted_at = since and (occurred_at or shard.now)
  if since and happened_since(shard, since, warehouse, lines, counted_at) then return { 'MOVED_SINCE', op } end
  local at = counted_at and counted_at + 1 or occurred_at -- of two counts the later one stands
  local lock, returned, exceeding
  if lock_id then
    lock = load_lock(shard, lock_id)
    if not lock then return { 'UNKNOWN_LOCK', op } end
    returned, exceeding = note_returned(lock, lines)
    if not returned then return { 'QUANTITY_EXCEEDS_SHIPMENT', op, exceeding } end
  end
  local counted = book_lines(shard, warehouse, lines, at, since ~= nil)
  local shortages = damaged_shortages(shard, warehouse)
  if shortages then return { 'INSUFFICIENT_DAMAGED', op, shortages } end
  if not counts_fit(shard) then return { 'QUANTITY_TOO_LARGE', op } end
  local event = { kind = kind, op = op, fingerprint = fingerprint, occurred_at = occurred_at }
  local changes = lock and { v = lock.v + 1, r = returned }
  if lock then event.lock_id, event.lock = lock_id, encode_changes(changes) end
  event.document = args[7] ~= '' and args[7] or counted
  local position = commit(shard, event)
  if not position then return { 'NOT_READY', op } end
  if lock then write_lock(shard, lock, changes) end
  if counted_at then note_counts(shard, warehouse, lines, counted_at) end
  write_op(shard, event, position)
  return { outcome, op, position }
end
