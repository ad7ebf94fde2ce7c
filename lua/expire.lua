-- expire: a held lock is overdue; its stock goes back.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id
-- Event expire, moves locked -> available.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, NOT_DUE, EXPIRED.

local function expire(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local lock = load_lock(shard, args[3])
  if not lock or lock.s ~= 'held' or not lock.x then
    redis.call('ZREM', shard.tag .. 'due', args[3])
    return { 'NOT_DUE', args[3] }
  end
  if tonumber(lock.x) > shard.now then return { 'NOT_DUE', args[3] } end
  local lines = decode_lines(lock.n)
  give_back(shard, lines, take_lines(lock, lines))
  return end_step(shard, lock, 'EXPIRED', { kind = 'expire', op = '' }, { s = 'expired' })
end

register('expire', expire, { 'allow-oom' })
