-- lock: a hold on stock for one order, all lines or none.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id  4 fingerprint  5 ttl in ms ('' for no expiry)
--       6… ranked warehouses (a count, then codes)  … the default order (a count, then codes)
--       … lines (a count, then sku, quantity, warehouse or '')
-- Event lock, moves available -> locked.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   REPEATED (the original answer, then the status now), ID_REUSED, BACKLOG_FULL,
--   INSUFFICIENT_STOCK (all shortages), LOCKED (the lock).

local function original_answer(lock)
  local lines = lock.o or encode_lines(undeducted(decode_lines(lock.n)))
  local expires_at = lock.y or lock.x or ''
  return { 'REPEATED', lock.id, lock.p, 'held', expires_at ~= '0' and expires_at or '', lines, lock.s }
end

local function take_stock(shard, lines)
  for _, line in ipairs(lines) do
    move(shard, load_stock(shard, line.sku), line.warehouse, 'a', 'l', line.quantity)
  end
end

-- Writes a new lock: the same as `encode_changes` and `write_lock` would, without looking at what cannot be there.
local function create_lock(shard, lock)
  local fields = table.concat({
    '{"s":"held","v":1,"f":"', lock.f, '"', lock.x and (',"x":' .. lock.x) or '', ',"n":', lock.n,
    lock.q and (',"q":' .. lock.q) or '', '}',
  })
  local position = commit(shard, { kind = 'lock', lock_id = lock.id, lock = fields })
  if not position then return { 'NOT_READY', lock.id } end
  local record = { 's', 'held', 'v', '1', 'f', lock.f, 'p', position, 'n', lock.n }
  if lock.q then record[11], record[12] = 'q', lock.q end
  if lock.x then record[#record + 1], record[#record + 2] = 'x', lock.x end
  redis.call('HSET', lock_key(shard, lock.id), unpack(record))
  if lock.x then redis.call('ZADD', shard.tag .. 'due', lock.x, lock.id) end
  lock.s = 'held'
  return lock_answer('LOCKED', lock, position)
end

local function lock(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local lock_id, fingerprint = args[3], args[4]
  local ttl = args[5] ~= '' and natural(args[5]) or nil
  local asked, after_asked = read_list(args, 6)
  local order, first = read_list(args, after_asked or #args + 1)
  local lines = order and read_lines(args, first)
  if not lines or #lines == 0 or (args[5] ~= '' and not ttl) then return { 'INVALID_ARGUMENT', lock_id } end
  if redis.call('HGET', lock_key(shard, lock_id), 'f') then
    local known = load_lock(shard, lock_id)
    return known.f == fingerprint and original_answer(known) or { 'ID_REUSED', lock_id }
  end
  if backlog_is_full(shard) then return { 'BACKLOG_FULL', lock_id } end
  local sourced, shortages = source_lines(shard, lines, asked, order, {})
  if not sourced then return { 'INSUFFICIENT_STOCK', lock_id, shortages } end
  take_stock(shard, sourced)
  return create_lock(shard, {
    id = lock_id, f = fingerprint, x = ttl and string.format('%d', shard.now + ttl) or nil,
    n = encode_lines(sourced), q = encode_request(lines, asked),
  })
end

register('lock', lock, {})
