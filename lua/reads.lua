-- Reads: they change nothing and need no epoch, but an unchecked memory answers NOT_READY, never "no stock".

-- read_stock: the counts of some SKUs.
-- KEYS  1 meta
-- ARGV  skus
-- Returns NOT_READY, UNKNOWN_LAYOUT, or {READ, epoch, fields of each SKU: [] if it is unknown}.
local function read_stock(keys, args)
  local meta = meta_of(keys[1])
  local refusal = refusal_of(meta, keys[1])
  if refusal then return { refusal, '' } end
  local answer, tag = { 'READ', meta.epoch }, tag_of(keys[1])
  for i, sku in ipairs(args) do answer[2 + i] = redis.call('HGETALL', tag .. 'stock:' .. sku) end
  return answer
end

-- read_lock: one lock.
-- KEYS  1 meta
-- ARGV  1 lock_id
-- Returns NOT_READY, UNKNOWN_LAYOUT, UNKNOWN_LOCK, or READ with the lock.
local function read_lock(keys, args)
  local meta = meta_of(keys[1])
  local refusal = refusal_of(meta, keys[1])
  if refusal then return { refusal, args[1] } end
  local lock = load_lock({ tag = tag_of(keys[1]) }, args[1])
  if not lock then return { 'UNKNOWN_LOCK', args[1] } end
  return lock_answer('READ', lock, meta.last)
end

-- read_transfer: one transfer.
-- KEYS  1 meta
-- ARGV  1 transfer_id
-- Returns NOT_READY, UNKNOWN_LAYOUT, UNKNOWN_TRANSFER, or READ with the transfer.
local function read_transfer(keys, args)
  local meta = meta_of(keys[1])
  local refusal = refusal_of(meta, keys[1])
  if refusal then return { refusal, args[1] } end
  local transfer = load_transfer({ tag = tag_of(keys[1]) }, args[1])
  if not transfer then return { 'UNKNOWN_TRANSFER', args[1] } end
  return transfer_answer('READ', transfer, meta.last)
end

-- read_due: held locks that are overdue, oldest first.
-- KEYS  1 meta
-- ARGV  1 how many at most
-- Returns NOT_READY, UNKNOWN_LAYOUT, or {READ, epoch, now in ms, lock ids…}.
local function read_due(keys, args)
  local meta = meta_of(keys[1])
  local refusal = refusal_of(meta, keys[1])
  if refusal then return { refusal, '' } end
  local now = clock(meta.at)
  local due = redis.call('ZRANGE', tag_of(keys[1]) .. 'due', '-inf', now, 'BYSCORE', 'LIMIT', 0, natural(args[1]) or 0)
  local answer = { 'READ', meta.epoch, tostring(now) }
  for i, lock_id in ipairs(due) do answer[3 + i] = lock_id end
  return answer
end

-- read_last: the last event's position.
-- KEYS  1 meta
-- ARGV  none
-- Returns NOT_READY, UNKNOWN_LAYOUT, or {READ, epoch, position}.
local function read_last(keys)
  local meta = meta_of(keys[1])
  local refusal = refusal_of(meta, keys[1])
  if refusal then return { refusal, '' } end
  return { 'READ', meta.epoch, meta.last }
end

-- read_forgotten: up to when ids are forgotten.
-- KEYS  1 meta
-- ARGV  none
-- Returns NOT_READY, UNKNOWN_LAYOUT, or {READ, epoch, ms since 1970, 0 for nothing}.
local function read_forgotten(keys)
  local meta = meta_of(keys[1])
  local refusal = refusal_of(meta, keys[1])
  if refusal then return { refusal, '' } end
  return { 'READ', meta.epoch, redis.call('HGET', keys[1], 'forgotten') or '0' }
end

register('read_forgotten', read_forgotten, { 'no-writes' })
register('read_last', read_last, { 'no-writes' })
register('read_stock', read_stock, { 'no-writes' })
register('read_lock', read_lock, { 'no-writes' })
register('read_transfer', read_transfer, { 'no-writes' })
register('read_due', read_due, { 'no-writes' })
