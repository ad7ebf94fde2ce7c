-- mark: writes something small, so that a WAIT behind it on the same connection is about everything before it.
-- WAIT asks for the last write of its own connection; on a fresh one most servers would answer at once.
-- KEYS  1 meta
-- ARGV  none
-- Event none: it changes no count.
-- Returns NOT_READY, UNKNOWN_LAYOUT, or {MARKED, epoch}: this memory, whose epoch it is, has the mark.

local function mark(keys)
  local meta = meta_of(keys[1])
  local refusal = refusal_of(meta, keys[1])
  if refusal then return { refusal, '' } end
  redis.call('HSET', keys[1], 'mark', meta.epoch)
  return { 'MARKED', meta.epoch }
end

register('mark', mark, { 'allow-oom' })
