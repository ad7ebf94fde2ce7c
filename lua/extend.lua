-- extend: a held lock expires later (or never), counted from now.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id  4 op  5 fingerprint  6 ttl in ms ('' for no expiry)
--       7 the expiry in ms that it must still have, else it is shown UNCHANGED (may be left out: whatever it has)
-- Event extend, no moves.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   REPEATED, ID_REUSED, UNKNOWN_LOCK, LOCK_EXPIRED, LOCK_NOT_HELD, EXTENDED.

local function extend(keys, args)
  local ttl = natural(args[6])
  local shard, lock, answer = begin_step(keys, args, ttl or args[6] == '')
  if answer then return answer end
  if lock.s ~= 'held' then return illegal(shard, lock) end
  if args[7] and args[7] ~= lock.x then return lock_answer('UNCHANGED', lock, shard.last) end
  local event = { kind = 'extend', op = args[4], fingerprint = args[5] }
  return end_step(shard, lock, 'EXTENDED', event, { x = ttl and (shard.now + ttl) or false })
end

register('extend', extend, { 'allow-oom' })
