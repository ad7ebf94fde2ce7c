-- recall: an ended lock that was forgotten is remembered again, as the ledger has it: more is told of it.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id  4… fields and values
-- Event none: no stock moves.
-- Returns the gate's refusals, UNCHANGED (it is remembered), LOADED.

local function recall(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  if load_lock(shard, args[3]) then return { 'UNCHANGED', args[3] } end
  redis.call('HSET', lock_key(shard, args[3]), unpack(args, 4))
  return { 'LOADED', args[3] }
end

register('recall', recall, {})
