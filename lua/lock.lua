-- lock: a hold on stock for one order, all lines or none.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id  4 fingerprint  5 ttl in ms ('' for no expiry)
--       6… ranked warehouses (a count, then codes)
--       … the default order (a count, then codes)  … closed warehouses (a count, then codes)
--       … lines (a count, then sku, quantity, warehouse or '')
-- Event lock, moves available -> locked.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   REPEATED (the original answer and the status now; of an ended lock its state), ID_REUSED, BACKLOG_FULL, TOO_MANY_CHOICES,
--   INSUFFICIENT_STOCK (all shortages), LOCKED (the lock).

-- The state of a lock that has ended, and what was answered first.
local function ended_answer(lock)
  local answer = lock_answer('REPEATED', lock, lock.p)
  answer[8], answer[9], answer[10] = lock.s, '', lock.f ~= '' and 'held' or nil
  return answer
end

-- What the creation answered; of a lock that has ended its real state, so that nobody sells what is not held.
local function original_answer(lock)
  if not is_open(lock) then return ended_answer(lock) end
  local lines = lock.o or encode_lines(undeducted(decode_lines(lock.n)))
  local expires_at = lock.y or lock.x or ''
  return { 'REPEATED', lock.id, lock.p, 'held', expires_at ~= '0' and expires_at or '', lines, 1, lock.s }
end

-- Writes a new lock: the same as `encode_changes` and `write_lock` would, without looking at what cannot be there.
local function create_lock(shard, lock)
  local fields = '{"s":"held","v":1,"f":"' .. lock.f .. '"' .. (lock.x and (',"x":' .. lock.x) or '')
    .. ',"n":' .. lock.n .. (lock.q and (',"q":' .. lock.q) or '') .. '}'
  local position = commit(shard, { kind = 'lock', lock_id = lock.id, lock = fields })
  if not position then return { 'NOT_READY', lock.id } end
  local record = { 's', 'held', 'v', '1', 'f', lock.f, 'p', position, 'n', lock.n }
  if lock.q then record[11], record[12] = 'q', lock.q end
  if lock.x then record[#record + 1], record[#record + 2] = 'x', lock.x end
  redis.call('HSET', lock_key(shard, lock.id), unpack(record))
  if lock.x then add_due(shard, lock) end
  lock.s, lock.v = 'held', 1
  return lock_answer('LOCKED', lock, position)
end

-- An order from ARGV[first] on, and the index after it; nil if it cannot be read.
local function read_order(args, first)
  local ttl = args[first + 2] ~= '' and natural(args[first + 2]) or nil
  local asked, after_asked = read_list(args, first + 3)
  local rank, after_rank = read_order_of_warehouses(args, after_asked or #args + 1)
  local lines, after = nil, nil
  if rank then lines, after = read_lines(args, after_rank) end
  if not lines or #lines == 0 or (args[first + 2] ~= '' and not ttl) then return nil end
  lines = merge_lines(lines)
  return { id = args[first], f = args[first + 1], ttl = ttl, asked = asked, rank = rank, lines = lines }, after
end

local function take_order(shard, order)
  if redis.call('HGET', lock_key(shard, order.id), 'f') then
    local known = load_lock(shard, order.id)
    local is_its = known.f == order.f or known.f == ''
    return is_its and original_answer(known) or { 'ID_REUSED', order.id }
  end
  if backlog_is_full(shard) then return { 'BACKLOG_FULL', order.id } end
  local sourced, shortages = source_lines(shard, order.lines, order.asked, order.rank, {})
  if not sourced then return unsourced(order.id, shortages) end
  take_stock(shard, sourced)
  return create_lock(shard, {
    id = order.id, f = order.f, x = order.ttl and string.format('%d', shard.now + order.ttl) or nil,
    n = encode_lines(sourced), q = encode_request(order.lines, order.asked),
  })
end

local function lock(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local order = read_order(args, 3)
  if not order then return { 'INVALID_ARGUMENT', args[3] or '' } end
  return take_order(shard, order)
end

-- locks: several orders in one call, one after the other, each as `lock` would: they share what a call costs, not
-- their fate.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3… of each order what `lock` takes from its third argument on
-- Event lock of each, moves available -> locked.
-- Returns NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT (nothing was done), else a list: of each
--   order what `lock` returns, be it an error; or ASK_ALONE, once those before it have had enough to read: each may take its
--   time, but not all of them one after the other.

local TOGETHER_FIELDS_MAX = 8000 -- that were read of SKUs, twice

local function locks(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local orders, at = {}, 3
  while at <= #args do
    local order, after = read_order(args, at)
    if not order then return { 'INVALID_ARGUMENT', args[at] } end
    orders[#orders + 1], at = order, after
  end
  if #orders == 0 then return { 'INVALID_ARGUMENT', '' } end
  local answers = {}
  begin_together(shard)
  for i, order in ipairs(orders) do
    local fine, answer = true, { 'ASK_ALONE', order.id }
    if shard.fields <= TOGETHER_FIELDS_MAX then fine, answer = pcall(take_order, shard, order) end
    answers[i] = fine and answer or { err = type(answer) == 'table' and answer.err or tostring(answer) }
    shard.stocks, shard.loaded, shard.moves = {}, {}, {} -- the next order reads what this one left
  end
  end_together(shard)
  return answers
end

register('lock', lock, {})
register('locks', locks, {})
