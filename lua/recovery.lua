-- Recovery: the only functions that work while the gate is shut. Each is fenced: a recovery that lost its
-- lease to a newer one (a higher fence) is refused.
-- Outcomes: FENCED, then as said at each.

local function fenced(keys, args)
  local known = tonumber(redis.call('HGET', keys[1], 'fence') or '0')
  return not natural(args[1]) or natural(args[1]) < known
end

-- open: begins a new epoch in a memory that was compared with the ledger. Its event is entry 0 of the epoch.
-- KEYS  1 meta
-- ARGV  1 fence  2 new epoch  3 the tip that was compared  4 home (run id)  5 outbox_max (0: none)
-- Returns FENCED, NO_RIGHTS (with the command), TIP_MOVED, EPOCH_TOO_LOW, OPENED: {outcome, '', position}.
local function open(keys, args)
  if fenced(keys, args) then return { 'FENCED', '' } end
  if redis.acl_check_cmd then
    for _, command in ipairs(INNER_COMMANDS) do
      if not redis.acl_check_cmd(command, keys[1]) then return { 'NO_RIGHTS', command } end
    end
  end
  local meta = meta_of(keys[1])
  if meta.tip ~= args[3] then return { 'TIP_MOVED', '' } end
  if not natural(args[2]) or natural(args[2]) <= tonumber(meta.epoch or '0') then return { 'EPOCH_TOO_LOW', '' } end
  local tag = tag_of(keys[1])
  local shard = { now = clock(meta.at), moves = {}, who = '' }
  local body = body_of(shard, { kind = 'open', reason = '"' .. args[4] .. '"' })
  local position = redis.call('XADD', tag .. 'outbox', args[2] .. '-0', 'p', meta.tip, 'e', body)
  local tip = string.sub(redis.sha1hex(meta.tip .. body), 1, 16)
  redis.call('HSET', keys[1], 'epoch', args[2], 'state', 'ready', 'layout', LAYOUT, 'home', args[4], 'tip', tip,
    'at', shard.now, 'last', position, 'fence', args[1], 'outbox_max', args[5])
  gate[keys[1]] = args[2]
  return { 'OPENED', '', position }
end

-- adopt: opens the gate for the epoch that another library of this same process has open already.
-- The caller has just read through that library, on this connection: so it is the same process, and it is checked.
-- KEYS  1 meta
-- ARGV  1 epoch
-- Returns STALE_EPOCH, OPENED.
local function adopt(keys, args)
  local meta = meta_of(keys[1])
  if meta.epoch ~= args[1] or meta.state ~= 'ready' or meta.layout ~= LAYOUT then return { 'STALE_EPOCH', '' } end
  gate[keys[1]] = args[1]
  return { 'OPENED', '', meta.last }
end

-- shut: lets nobody write any more, so that the outbox can be drained before a rebuild.
-- KEYS  1 meta
-- ARGV  1 fence
-- Returns FENCED, REBUILDING.
local function shut(keys, args)
  if fenced(keys, args) then return { 'FENCED', '' } end
  gate[keys[1]] = nil
  redis.call('HSET', keys[1], 'state', 'rebuilding', 'fence', args[1])
  return { 'REBUILDING', '' }
end

-- rebuild_begin: shuts the gate and forgets what this memory believed.
-- KEYS  1 meta
-- ARGV  1 fence  2 the ledger's tip  3 the ledger's clock in ms  4 the ledger's last position
-- Returns FENCED, REBUILDING.
local function rebuild_begin(keys, args)
  if fenced(keys, args) then return { 'FENCED', '' } end
  gate[keys[1]] = nil
  local epoch = redis.call('HGET', keys[1], 'epoch')
  redis.call('UNLINK', keys[1], tag_of(keys[1]) .. 'due')
  redis.call('HSET', keys[1], 'state', 'rebuilding', 'layout', LAYOUT, 'fence', args[1], 'tip', args[2],
    'at', args[3], 'last', args[4], 'epoch', epoch or '0')
  return { 'REBUILDING', '' }
end

local function rebuilding(keys, args)
  return not fenced(keys, args) and redis.call('HGET', keys[1], 'state') == 'rebuilding'
end

-- rebuild_clear: removes keys that an earlier life left behind.
-- KEYS  1 meta
-- ARGV  1 fence  2… keys
-- Returns FENCED, CLEARED.
local function rebuild_clear(keys, args)
  if not rebuilding(keys, args) then return { 'FENCED', '' } end
  for i = 2, #args do redis.call('UNLINK', args[i]) end
  return { 'CLEARED', '' }
end

-- rebuild_stock: sets a SKU's fields.
-- KEYS  1 meta
-- ARGV  1 fence  2 sku  3… fields and values
-- Returns FENCED, LOADED.
local function rebuild_stock(keys, args)
  if not rebuilding(keys, args) then return { 'FENCED', '' } end
  local fields = {}
  for i = 3, #args do fields[i - 2] = args[i] end
  call_with('HSET', tag_of(keys[1]) .. 'stock:' .. args[2], fields)
  return { 'LOADED', '' }
end

-- rebuild_lock: sets a lock's fields, and its due time if it is held.
-- KEYS  1 meta
-- ARGV  1 fence  2 lock_id  3 expires_at if it is held and expires, else ''  4… fields and values
-- Returns FENCED, LOADED.
local function rebuild_lock(keys, args)
  if not rebuilding(keys, args) then return { 'FENCED', '' } end
  local tag = tag_of(keys[1])
  redis.call('HSET', tag .. 'lock:' .. args[2], unpack(args, 4))
  if args[3] ~= '' then redis.call('ZADD', tag .. 'due', args[3], args[2]) end
  return { 'LOADED', '' }
end

-- rebuild_transfer: sets a transfer's fields.
-- KEYS  1 meta
-- ARGV  1 fence  2 transfer_id  3… fields and values
-- Returns FENCED, LOADED.
local function rebuild_transfer(keys, args)
  if not rebuilding(keys, args) then return { 'FENCED', '' } end
  redis.call('HSET', tag_of(keys[1]) .. 'transfer:' .. args[2], unpack(args, 3))
  return { 'LOADED', '' }
end

-- rebuild_op: sets what an id was used for.
-- KEYS  1 meta
-- ARGV  1 fence  2 op  3 its record
-- Returns FENCED, LOADED.
local function rebuild_op(keys, args)
  if not rebuilding(keys, args) then return { 'FENCED', '' } end
  redis.call('SET', tag_of(keys[1]) .. 'op:' .. args[2], args[3])
  return { 'LOADED', '' }
end

-- rebuild_counted: sets when a SKU was counted in a warehouse.
-- KEYS  1 meta
-- ARGV  1 fence  2 sku  3 warehouse  4 counts
-- Returns FENCED, LOADED.
register('rebuild_counted', function(keys, args)
  if not rebuilding(keys, args) then return { 'FENCED', '' } end
  redis.call('HSET', tag_of(keys[1]) .. 'counted:' .. args[2], args[3], args[4])
  return { 'LOADED', '' }
end, {})

-- rebuild_sequence: sets how far a source is in a warehouse.
-- KEYS  1 meta
-- ARGV  1 fence  2 source  3 warehouse  4 number
-- Returns FENCED, LOADED.
register('rebuild_sequence', function(keys, args)
  if not rebuilding(keys, args) then return { 'FENCED', '' } end
  redis.call('HSET', tag_of(keys[1]) .. 'sequences', args[2] .. '{' .. args[3], args[4])
  return { 'LOADED', '' }
end, {})

-- trim: drops outbox entries that the ledger has, below a position; publishes how far the ledger is.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 first position to keep ('' to trim nothing)  4 the ledger's position
-- Returns the gate's refusals, TRIMMED.
local function trim(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  if args[3] ~= '' then redis.call('XTRIM', shard.tag .. 'outbox', 'MINID', args[3]) end
  redis.call('HSET', keys[1], 'persisted', args[4])
  return { 'TRIMMED', '' }
end

-- forget: drops an ended lock and ops that are older than the horizon and persisted.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 a lock id ('' for none)  4… ops
-- Returns the gate's refusals, LOCK_OPEN (nothing dropped), FORGOTTEN.
local function forget(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  if args[3] ~= '' then
    local lock = load_lock(shard, args[3])
    if lock and is_open(lock) then return { 'LOCK_OPEN', args[3] } end
    redis.call('UNLINK', lock_key(shard, args[3]))
  end
  for i = 4, #args do redis.call('UNLINK', op_key(shard, args[i])) end
  return { 'FORGOTTEN', args[3] }
end

-- forget_transfer: drops an ended transfer and its ops that are older than the horizon and persisted.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 a transfer id  4… ops
-- Returns the gate's refusals, TRANSFER_OPEN (nothing dropped), FORGOTTEN.
local function forget_transfer(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local transfer = load_transfer(shard, args[3])
  if transfer and transfer_is_open(transfer) then return { 'TRANSFER_OPEN', args[3] } end
  redis.call('UNLINK', transfer_key(shard, args[3]))
  for i = 4, #args do redis.call('UNLINK', op_key(shard, args[i])) end
  return { 'FORGOTTEN', args[3] }
end

register('open', open, { 'allow-oom' })
register('shut', shut, { 'allow-oom' })
register('adopt', adopt, { 'allow-oom' })
register('rebuild_begin', rebuild_begin, { 'allow-oom' })
register('rebuild_clear', rebuild_clear, { 'allow-oom' })
register('rebuild_stock', rebuild_stock, {})
register('rebuild_lock', rebuild_lock, {})
register('rebuild_transfer', rebuild_transfer, {})
register('rebuild_op', rebuild_op, {})
register('trim', trim, { 'allow-oom' })
register('forget', forget, { 'allow-oom' })
register('forget_transfer', forget_transfer, { 'allow-oom' })
