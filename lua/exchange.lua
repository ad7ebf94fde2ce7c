-- exchange: a customer's goods came back, and others are held for the customer instead: both or neither.
-- What came back good can be held again at once.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id (of the new lock)  4 op (of the exchange)  5 fingerprint  6 the lock's fingerprint
--       7 the lock's ttl in ms ('' for no expiry)  8 occurred_at of the return in ms ('' for now)
--       9 warehouse of the return  10… returned lines (a count, then sku, source, target, quantity, reason or '')
--       … ranked warehouses (a count, then codes)
--       … the default order (a count, then codes)  … closed warehouses (a count, then codes)
--       … the lock's lines (a count, then sku, quantity, warehouse or '')
--       … the id of the lock that the goods were shipped for, if it is known
-- Event exchange, moves customer -> available, customer -> damaged, then available -> locked; the record of the lock that the
--   goods were shipped for notes what came back.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   REPEATED (the original answer, then the lock's status now), ID_REUSED (with `lock` if that is the lock's id),
--   UNKNOWN_LOCK, QUANTITY_EXCEEDS_SHIPMENT, BACKLOG_FULL, TOO_MANY_CHOICES, INSUFFICIENT_STOCK (all shortages),
--   QUANTITY_TOO_LARGE, EXCHANGED (the lock).

-- The arguments after the fingerprints, or nil if one cannot be read.
local function read_exchange(args)
  local request = { ttl = natural(args[7]), occurred_at = moment(args[8]) }
  if not (request.ttl or args[7] == '') or not (request.occurred_at or args[8] == '') then return nil end
  request.returned = read_bookings(args, 10)
  if not request.returned then return nil end
  local after
  request.asked, after = read_list(args, 11 + 5 * #request.returned)
  request.order, after = read_order_of_warehouses(args, after or #args + 1)
  local lines
  if request.order then lines, after = read_lines(args, after) end
  if not lines or #lines == 0 then return nil end
  request.of_lock = args[after]
  request.lines = merge_lines(lines)
  return request
end

local function original_exchange(shard, lock_id, op)
  local lock = load_lock(shard, lock_id)
  return kept_answer(lock_id, op, 1, lock and lock.p == op.position and lock.s or 'held')
end

local function take_back(shard, warehouse, returned, at)
  for _, line in ipairs(returned) do
    local stock = load_stock(shard, line.sku, warehouse)
    fact_move(shard, stock, warehouse, line.source, line.target, line.quantity, line.reason, nil, at)
  end
end

local function exchange(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local lock_id, request = args[3], read_exchange(args)
  if not request then return { 'INVALID_ARGUMENT', lock_id or '' } end
  local op = load_op(shard, args[4])
  if op then
    return op.fingerprint == args[5] and original_exchange(shard, lock_id, op) or { 'ID_REUSED', lock_id }
  end
  if load_lock(shard, lock_id) then return { 'ID_REUSED', lock_id, '', 'lock' } end
  local shipped, returned, exceeding = request.of_lock and load_lock(shard, request.of_lock), nil, nil
  if request.of_lock and not shipped then return { 'UNKNOWN_LOCK', lock_id } end
  if shipped then
    returned, exceeding = note_returned(shipped, units_by_sku(request.returned))
    if not returned then return { 'QUANTITY_EXCEEDS_SHIPMENT', lock_id, exceeding } end
    returned = { r = returned } -- no answer shows it: the version stays
  end
  if backlog_is_full(shard) then return { 'BACKLOG_FULL', lock_id } end
  take_back(shard, args[9], request.returned, request.occurred_at)
  local sourced, shortages = source_lines(shard, request.lines, request.asked, request.order, {})
  if not sourced then return unsourced(lock_id, shortages) end
  take_stock(shard, sourced)
  if not counts_fit(shard) then return { 'QUANTITY_TOO_LARGE', lock_id } end
  local changes = {
    s = 'held', v = 1, f = args[6], x = request.ttl and (shard.now + request.ttl) or nil,
    n = encode_lines(sourced), q = encode_request(request.lines, request.asked),
  }
  local event = {
    kind = 'exchange', op = args[4], fingerprint = args[5], occurred_at = request.occurred_at, lock_id = lock_id,
    lock = encode_changes(changes),
    document = returned and ('["lock","' .. request.of_lock .. '",' .. encode_changes(returned) .. ']') or nil,
  }
  local position = commit(shard, event)
  if not position then return { 'NOT_READY', lock_id } end
  changes.p = position
  local created = { id = lock_id }
  write_lock(shard, created, changes)
  if returned then write_lock(shard, shipped, returned) end
  write_op(shard, event, position, '["held",' .. (changes.x or 'null') .. ',' .. changes.n .. ',1]')
  return lock_answer('EXCHANGED', created, position)
end

register('exchange', exchange, {})
