-- remember: an id that no lock has is noted as released, so that a creation that comes later holds nothing.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id
-- Event lock, no moves: the lock that it begins has no lines, no fingerprint, and has ended.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   UNCHANGED (a lock has this id), BACKLOG_FULL, UNLOCKED.

local function remember(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local lock_id = args[3]
  if not lock_id or lock_id == '' then return { 'INVALID_ARGUMENT', '' } end
  local known = load_lock(shard, lock_id)
  if known then return lock_answer('UNCHANGED', known, shard.last) end
  if backlog_is_full(shard) then return { 'BACKLOG_FULL', lock_id } end
  local fields = '{"s":"released","v":1,"f":"","n":[],"e":"unlock"}'
  local position = commit(shard, { kind = 'lock', lock_id = lock_id, lock = fields })
  if not position then return { 'NOT_READY', lock_id } end
  redis.call('HSET', lock_key(shard, lock_id), 's', 'released', 'v', '1', 'f', '', 'p', position, 'n', '[]', 'e', 'unlock')
  return lock_answer('UNLOCKED', { id = lock_id, s = 'released', v = 1, n = '[]' }, position)
end

register('remember', remember, {})
