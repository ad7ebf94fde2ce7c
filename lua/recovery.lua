-- Recovery: the only functions that work while the gate is shut. Each is fenced: a recovery that lost its
-- lease to a newer one (a higher fence) is refused.
-- Outcomes: FENCED, then as said at each.

-- open: begins a new epoch in a memory that was compared with the ledger. Its event is entry 0 of the epoch.
-- KEYS  1 meta
-- ARGV  1 fence  2 new epoch  3 the tip that was compared  4 home (run id)  5 outbox_max (0: none)
--       6 the installation ('': as it is)  7 in ms, how far ahead the shard's clock may be ('': anywhere)
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
  local now, now_text = clock(meta.at)
  local at_max, server, server_text = moment(args[7]), clock('0')
  if at_max and now > at_max and server <= at_max then now_text = server_text end
  local shard = { now_text = now_text, moves = {}, who = '' }
  local body = body_of(shard, { kind = 'open', reason = '"' .. args[4] .. '"' })
  local position = redis.call('XADD', tag .. 'outbox', args[2] .. '-0', 'p', meta.tip, 'e', body)
  local tip = tip_after(meta.tip, body)
  redis.call('HSET', keys[1], 'epoch', args[2], 'state', 'ready', 'layout', LAYOUT, 'home', args[4], 'tip', tip,
    'at', now_text, 'last', position, 'fence', args[1], 'outbox_max', args[5])
  if args[6] and args[6] ~= '' then redis.call('HSET', keys[1], 'installation', args[6]) end
  -- How each of the newest 32 epochs began, so that another's of the same number is told from it later:
  -- `<epoch>:<tip of its first event>:<position before it>`, one after the other.
  local epochs = (redis.call('HGET', keys[1], 'epochs') or '') .. args[2] .. ':' .. tip .. ':' .. meta.last .. ' '
  local _, count = string.gsub(epochs, ' ', '')
  if count > 32 then epochs = string.gsub(epochs, '^%S+ ', '') end
  redis.call('HSET', keys[1], 'epochs', epochs)
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

-- shut: from here on no command changes this memory, through whatever library: each asks for the state `ready`. Only
-- then may the memory be compared with the ledger. A memory that a repair has begun stays in the state of that repair,
-- and an empty one stays empty.
-- KEYS  1 meta
-- ARGV  1 fence
-- Returns FENCED, SHUT.
local function shut(keys, args)
  if fenced(keys, args) then return { 'FENCED', '' } end
  gate[keys[1]] = nil
  if redis.call('HLEN', keys[1]) == 0 then return { 'SHUT', '' } end
  local state = redis.call('HGET', keys[1], 'state')
  local is_in_repair = state == 'rebuilding' or state == 'carrying'
  redis.call('HSET', keys[1], 'state', is_in_repair and state or 'shut', 'fence', args[1])
  return { 'SHUT', '' }
end

-- rebuild_begin: forgets what this memory, which is shut, believed.
-- KEYS  1 meta
-- ARGV  1 fence  2 the ledger's tip  3 the ledger's clock in ms  4 the ledger's last position
-- Returns FENCED (or it is not shut), REBUILDING.
local function rebuild_begin(keys, args)
  if not repairable(keys, args) then return { 'FENCED', '' } end
  gate[keys[1]] = nil
  local epoch = redis.call('HGET', keys[1], 'epoch')
  redis.call('UNLINK', keys[1], tag_of(keys[1]) .. 'due')
  redis.call('HSET', keys[1], 'state', 'rebuilding', 'layout', LAYOUT, 'fence', args[1], 'tip', args[2],
    'at', args[3], 'last', args[4], 'epoch', epoch or '0')
  return { 'REBUILDING', '' }
end

-- rebuild_clear: removes keys that an earlier life left behind, a part of the walk over all keys.
-- KEYS  1 meta
-- ARGV  1 fence  2 the walk's cursor (0 to begin)  3 which keys, as SCAN takes it  4 how many to look at
-- Returns FENCED, CLEARED: {outcome, next cursor (0 at the end)}.
local function rebuild_clear(keys, args)
  if not rebuilding(keys, args) then return { 'FENCED', '' } end
  local found = redis.call('SCAN', args[2], 'MATCH', args[3], 'COUNT', args[4])
  for _, key in ipairs(found[2]) do
    if key ~= keys[1] then redis.call('UNLINK', key) end
  end
  return { 'CLEARED', found[1] }
end

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

-- forgetting: notes up to when ids are forgotten, before they are: who asks then knows that only the ledger may know.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 ms since 1970, of the newest event whose ids go
-- Returns the gate's refusals, INVALID_ARGUMENT, FORGOTTEN.
local function forgetting(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local until_ms = moment(args[3])
  if not until_ms then return { 'INVALID_ARGUMENT', '' } end
  local known = redis.call('HGET', keys[1], 'forgotten')
  if not known or tonumber(known) < until_ms then redis.call('HSET', keys[1], 'forgotten', args[3]) end
  return { 'FORGOTTEN', '' }
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
    redis.call('UNLINK', lock_key(shard, args[3]), document_key(shard, 'deduct:' .. args[3]))
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
  redis.call('UNLINK', transfer_key(shard, args[3]), document_key(shard, 'transfer_ship:' .. args[3]),
    document_key(shard, 'transfer_receive:' .. args[3]))
  for i = 4, #args do redis.call('UNLINK', op_key(shard, args[i])) end
  return { 'FORGOTTEN', args[3] }
end

-- forget_documents: drops the sums of documents that were not reported since the horizon.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3… families
-- Returns the gate's refusals, FORGOTTEN.
local function forget_documents(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  for i = 3, #args do redis.call('UNLINK', document_key(shard, args[i])) end
  return { 'FORGOTTEN', '' }
end

register('open', open, { 'allow-oom' })
register('shut', shut, { 'allow-oom' })
register('adopt', adopt, { 'allow-oom' })
register('rebuild_begin', rebuild_begin, { 'allow-oom' })
register('rebuild_clear', rebuild_clear, { 'allow-oom' })
register('trim', trim, { 'allow-oom' })
register('forgetting', forgetting, { 'allow-oom' })
register('forget', forget, { 'allow-oom' })
register('forget_transfer', forget_transfer, { 'allow-oom' })
register('forget_documents', forget_documents, { 'allow-oom' })
