-- expire: a held lock is overdue; its stock goes back.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id  4 the latest time in ms that the sweeper vouches for ('' for the server's own):
--       should the server's clock jump after it was looked at, nothing is released by that
-- Event expire, moves locked -> available.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, NOT_DUE, EXPIRED.

local function expire(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local now_max = moment(args[4] or '') or shard.now
  local lock = load_lock(shard, args[3])
  if not lock or lock.s ~= 'held' or not lock.x then
    redis.call('ZREM', shard.tag .. 'due', args[3])
    return { 'NOT_DUE', args[3] }
  end
  if tonumber(lock.x) > math.min(shard.now, now_max) then return { 'NOT_DUE', args[3] } end
  local lines = decode_lines(lock.n)
  give_back(shard, lines, take_lines(lock, lines))
  return end_step(shard, lock, 'EXPIRED', { kind = 'expire', op = '' }, { s = 'expired' })
end

register('expire', expire, { 'allow-oom' })
