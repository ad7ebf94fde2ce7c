-- limit: at how many entries in the outbox new obligations are refused, and what the worker says of itself.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 entries (from 1)  4 the worker's words, for whoever reads meta
-- Event none: it changes no count.
-- Returns NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT, LIMITED.

local function limit(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local entries = natural(args[3])
  if not entries or entries < 1 or not args[4] then return { 'INVALID_ARGUMENT', '' } end
  redis.call('HSET', shard.meta_key, 'outbox_max', entries, 'worker', args[4])
  return { 'LIMITED', '' }
end

register('limit', limit, { 'allow-oom' })
