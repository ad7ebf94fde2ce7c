-- Repair: setting what a memory should hold, after the ledger. As in recovery, each function is fenced.
--
-- A record's arguments: kind (stock, lock, transfer, op, counted, sequences, document), id, `fresh` (1: nothing of an earlier record stays),
-- how many fields, fields and values, how many fields to remove, their names. An op has one field: its text.
-- All is set absolutely, so each step may be repeated.

-- Keeps `due` to the held locks that expire.
local function put_due(tag, lock_id)
  local got = redis.call('HMGET', tag .. 'lock:' .. lock_id, 's', 'x')
  if got[1] == 'held' and got[2] then
    redis.call('ZADD', tag .. 'due', got[2], lock_id)
  else
    redis.call('ZREM', tag .. 'due', lock_id)
  end
end

-- Calls `done(kind, key, fields)` for each record from ARGV[first] on that was written.
local function put_records(tag, args, first, done)
  while first <= #args do
    local kind, id, fresh, count = args[first], args[first + 1], args[first + 2], tonumber(args[first + 3])
    local key, at = tag .. kind .. ':' .. id, first + 4
    local gone = tonumber(args[at + 2 * count])
    if fresh == '1' then redis.call('UNLINK', key) end
    if kind == 'op' then
      if count > 0 then redis.call('SET', key, args[at + 1]) end
    else
      local fields, removed = {}, {}
      for i = 0, 2 * count - 1 do fields[i + 1] = args[at + i] end
      for i = 1, gone do removed[i] = args[at + 2 * count + i] end
      call_with('HSET', key, fields)
      call_with('HDEL', key, removed)
    end
    if kind == 'lock' then put_due(tag, id) end
    if done then done(kind, key, at, count) end
    first = at + 2 * count + gone + 1
  end
end

-- What a record is now, as text: how many fields it has and the values of those it should have.
local function read_back(kind, key, args, at, count)
  if kind == 'op' then return redis.call('GET', key) or '' end
  local parts = { redis.call('HLEN', key) }
  for first = 0, count - 1, UNPACK_MAX do
    local names = {}
    for i = first, math.min(first + UNPACK_MAX, count) - 1 do names[#names + 1] = args[at + 2 * i] end
    for _, value in ipairs(redis.call('HMGET', key, unpack(names))) do parts[#parts + 1] = value or '' end
  end
  return table.concat(parts, ' ')
end

-- Whether a hash holds exactly these fields and values.
local function holds(key, items)
  local got = redis.call('HGETALL', key)
  if #got ~= #items then return false end
  local same = true
  for i = 1, #items do same = same and got[i] == items[i] end
  if same then return true end
  local values = {} -- a large hash has an order of its own
  for i = 1, #got, 2 do values[got[i]] = got[i + 1] end
  for i = 1, #items, 2 do
    if values[items[i]] ~= items[i + 1] then return false end
  end
  return true
end

-- rebuild_stock: sets SKUs while the memory is being rebuilt; each is read back and compared.
-- KEYS  1 meta
-- ARGV  1 fence  2 a line a SKU: sku, `v`, version, then fields and counts, tabs between
-- Returns FENCED, LOADED: {outcome, how many SKUs, the sum of their counts, the SHA-1 of the lines}; a SKU that
--   is not there as it was set does not count.
local function rebuild_stock(keys, args)
  if not rebuilding(keys, args) then return { 'FENCED', '' } end
  local prefix, count, sum = tag_of(keys[1]) .. 'stock:', 0, 0
  for line in string.gmatch(args[2], '[^\n]+') do
    local items, n, sku = {}, 0, nil
    for item in string.gmatch(line, '[^\t]+') do
      if sku then
        n = n + 1
        items[n] = item
      else
        sku = item
      end
    end
    call_with('HSET', prefix .. sku, items)
    if holds(prefix .. sku, items) then
      count = count + 1
      for i = 4, n, 2 do sum = sum + tonumber(items[i]) end
    end
  end
  return { 'LOADED', tostring(count), string.format('%d', sum), redis.sha1hex(args[2]) }
end

-- rebuild_load: sets records while the memory is being rebuilt, and says what is there then.
-- KEYS  1 meta
-- ARGV  1 fence  2… records
-- Returns FENCED, LOADED: {outcome, how many records, a fingerprint of what was read back}.
local function rebuild_load(keys, args)
  if not rebuilding(keys, args) then return { 'FENCED', '' } end
  local texts = {}
  put_records(tag_of(keys[1]), args, 2, function(kind, key, at, count)
    texts[#texts + 1] = read_back(kind, key, args, at, count)
  end)
  return { 'LOADED', tostring(#texts), redis.sha1hex(table.concat(texts, '\n')) }
end

-- replay: one event that the ledger has and this memory missed. Its entry keeps its id and its fingerprint.
-- KEYS  1 meta
-- ARGV  1 fence  2 the tip before it  3 its position  4 its tip  5 its time in ms  6 the event as JSON  7… records
-- Returns FENCED, UNCHANGED (it was replayed before), TIP_MOVED, REPLAYED: {outcome, '', position}.
local function replay(keys, args)
  if fenced(keys, args) then return { 'FENCED', '' } end
  local meta = meta_of(keys[1])
  if meta.last == args[3] and meta.tip == args[4] then return { 'UNCHANGED', '', args[3] } end
  if meta.tip ~= args[2] then return { 'TIP_MOVED', '' } end
  gate[keys[1]] = nil
  local tag = tag_of(keys[1])
  redis.call('XADD', tag .. 'outbox', args[3], 'p', args[2], 'e', args[6], 't', args[4])
  put_records(tag, args, 7)
  redis.call('HSET', keys[1], 'tip', args[4], 'last', args[3], 'at', args[5], 'fence', args[1],
    'epoch', string.match(args[3], '^%d+'))
  return { 'REPLAYED', '', args[3] }
end

-- mend: sets records of a memory that is shut, after a fork or before something is carried over.
-- KEYS  1 meta
-- ARGV  1 fence  2… records
-- Returns FENCED (or it is not shut), LOADED.
local function mend(keys, args)
  if fenced(keys, args) or gate[keys[1]] then return { 'FENCED', '' } end
  put_records(tag_of(keys[1]), args, 2)
  return { 'LOADED', '' }
end

-- rebase: from here on this memory continues the ledger; its outbox begins anew.
-- KEYS  1 meta
-- ARGV  1 fence  2 the ledger's tip  3 the ledger's last position  4 the ledger's clock in ms
--       5 the state to be in: shut, or carrying
-- Returns FENCED, SHUT.
local function rebase(keys, args)
  if fenced(keys, args) then return { 'FENCED', '' } end
  gate[keys[1]] = nil
  redis.call('UNLINK', tag_of(keys[1]) .. 'outbox')
  redis.call('HDEL', keys[1], 'epochs') -- of a chain that this is no more
  redis.call('HSET', keys[1], 'tip', args[2], 'last', args[3], 'at', args[4], 'state', args[5], 'fence', args[1])
  return { 'SHUT', '' }
end

-- carry: books in an event what this memory holds and the ledger does not know.
-- KEYS  1 meta
-- ARGV  1 fence  2 epoch  3 lock_id ('' for none)  4 the lock as JSON ('' for none)
--       5 the document as JSON ('' for none)  6 the moves as JSON, without the brackets  7 op ('' for none)
--       8 its fingerprint  9… records
-- Event carry_over, moves adjustment <-> what differs.
-- Returns FENCED (or nothing is being carried over), CARRIED: {outcome, '', position}.
local function carry(keys, args)
  if fenced(keys, args) or redis.call('HGET', keys[1], 'state') ~= 'carrying' then return { 'FENCED', '' } end
  local meta, tag = meta_of(keys[1]), tag_of(keys[1])
  local _, now_text = clock(meta.at)
  local shard = { now_text = now_text, moves = { args[6] ~= '' and args[6] or nil }, who = 'recovery' }
  local body = body_of(shard, {
    kind = 'carry_over', op = args[7], fingerprint = args[8], lock_id = args[3], lock = args[4] ~= '' and args[4] or nil,
    document = args[5] ~= '' and args[5] or nil,
  })
  local position = redis.call('XADD', tag .. 'outbox', args[2] .. '-*', 'p', meta.tip, 'e', body)
  put_records(tag, args, 9)
  local tip = tip_after(meta.tip, body)
  redis.call('HSET', keys[1], 'tip', tip, 'at', now_text, 'last', position, 'epoch', args[2])
  return { 'CARRIED', '', position }
end

register('rebuild_stock', rebuild_stock, {})
register('rebuild_load', rebuild_load, {})
register('replay', replay, { 'allow-oom' })
register('mend', mend, { 'allow-oom' })
register('rebase', rebase, { 'allow-oom' })
register('carry', carry, { 'allow-oom' })
