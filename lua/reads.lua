-- Reads: they change nothing and need no epoch, but an unchecked memory answers NOT_READY, never "no stock".

local function register_read(name, read)
  register(name, function(keys, args)
    local meta = meta_of(keys[1])
    local refusal = refusal_of(meta, keys[1])
    if refusal then return { refusal, args[1] or '' } end
    return read(meta, keys, args)
  end, { 'no-writes' })
end

-- read_stock: the counts of some SKUs: in order, of as many as one call may read, and of one at least.
-- KEYS  1 meta
-- ARGV  skus
-- Returns NOT_READY, UNKNOWN_LAYOUT, or {READ, epoch, fields of each SKU: [] if it is unknown}.
local READ_FIELDS_MAX = 20000 -- names and counts

local function read_stock(meta, keys, args)
  local answer, tag, fields = { 'READ', meta.epoch }, tag_of(keys[1]), 0
  for i, sku in ipairs(args) do
    answer[2 + i] = redis.call('HGETALL', tag .. 'stock:' .. sku)
    fields = fields + #answer[2 + i]
    if fields > READ_FIELDS_MAX then break end
  end
  return answer
end

-- read_lock: one lock.
-- KEYS  1 meta
-- ARGV  1 lock_id
-- Returns NOT_READY, UNKNOWN_LAYOUT, UNKNOWN_LOCK, or READ with the lock.
local function read_lock(meta, keys, args)
  local lock = load_lock({ tag = tag_of(keys[1]) }, args[1])
  if not lock then return { 'UNKNOWN_LOCK', args[1] } end
  return lock_answer('READ', lock, meta.last)
end

-- read_transfer: one transfer.
-- KEYS  1 meta
-- ARGV  1 transfer_id
-- Returns NOT_READY, UNKNOWN_LAYOUT, UNKNOWN_TRANSFER, or READ with the transfer.
local function read_transfer(meta, keys, args)
  local transfer = load_transfer({ tag = tag_of(keys[1]) }, args[1])
  if not transfer then return { 'UNKNOWN_TRANSFER', args[1] } end
  return transfer_answer('READ', transfer, meta.last)
end

-- read_due: held locks that are overdue, oldest first: no more than can be expired one after the other without anybody
-- waiting for long, and one at least.
-- KEYS  1 meta
-- ARGV  1 how many at most
-- Returns NOT_READY, UNKNOWN_LAYOUT, or {READ, epoch, now in ms, lock ids…}.
local DUE_BYTES_MAX = 50000 -- of their lines

local function read_due(meta, keys, args)
  local now, tag, bytes = clock(meta.at), tag_of(keys[1]), 0
  local due = redis.call('ZRANGE', tag .. 'due', '-inf', now, 'BYSCORE', 'LIMIT', 0, natural(args[1]) or 0)
  local answer = { 'READ', meta.epoch, tostring(now) }
  for i, lock_id in ipairs(due) do
    answer[3 + i] = lock_id
    bytes = bytes + #(redis.call('HGET', tag .. 'lock:' .. lock_id, 'n') or '')
    if bytes > DUE_BYTES_MAX then break end
  end
  return answer
end

-- read_last: the last event's position.
-- KEYS  1 meta
-- ARGV  none
-- Returns NOT_READY, UNKNOWN_LAYOUT, or {READ, epoch, position}.
local function read_last(meta)
  return { 'READ', meta.epoch, meta.last }
end

-- read_forgotten: up to when ids are forgotten.
-- KEYS  1 meta
-- ARGV  none
-- Returns NOT_READY, UNKNOWN_LAYOUT, or {READ, epoch, ms since 1970, 0 for nothing}.
local function read_forgotten(meta, keys)
  return { 'READ', meta.epoch, redis.call('HGET', keys[1], 'forgotten') or '0' }
end

register_read('read_forgotten', read_forgotten)
register_read('read_last', read_last)
register_read('read_stock', read_stock)
register_read('read_lock', read_lock)
register_read('read_transfer', read_transfer)
register_read('read_due', read_due)
