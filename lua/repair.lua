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

-- Sets the record from ARGV[first] on, of which nothing is there yet if `cleared`. Returns its kind, its key, the index of
-- its first field and the index after it.
local function put_record(tag, args, first, cleared)
  local kind, id, fresh, count = args[first], args[first + 1], args[first + 2], tonumber(args[first + 3])
  local key, at = tag .. kind .. ':' .. id, first + 4
  local gone = tonumber(args[at + 2 * count])
  if fresh == '1' and not cleared then redis.call('UNLINK', key) end
  if kind == 'op' then
    if count > 0 then redis.call('SET', key, args[at + 1]) end
  else
    call_with('HSET', key, args, at, at + 2 * count - 1)
    call_with('HDEL', key, args, at + 2 * count + 1, at + 2 * count + gone)
  end
  return kind, key, at, at + 2 * count + gone + 1
end

-- Sets the records from ARGV[first] on.
local function put_records(tag, args, first)
  while first <= #args do
    local id = args[first + 1]
    local kind, _, _, after = put_record(tag, args, first, false)
    if kind == 'lock' then put_due(tag, id) end
    first = after
  end
end

-- What a record that should be `key` and the fields from ARGV[at] on is now, as text: how many fields it has and the values
-- of those it should have.
local function read_back(kind, key, args, at)
  if kind == 'op' then return redis.call('GET', key) or '' end
  local count = tonumber(args[at - 1])
  local parts = { redis.call('HLEN', key) }
  for first = 0, count - 1, UNPACK_MAX do
    local names = {}
    for i = first, math.min(first + UNPACK_MAX, count) - 1 do names[#names + 1] = args[at + 2 * i] end
    for _, value in ipairs(redis.call('HMGET', key, unpack(names))) do parts[#parts + 1] = value or '' end
  end
  return table.concat(parts, ' ')
end

-- When a lock expires whose fields are those from ARGV[at] on: nil if it does not.
local function expiry_in(args, at)
  local fields = {}
  for i = at, at + 2 * tonumber(args[at - 1]) - 1, 2 do fields[args[i]] = args[i + 1] end
  return fields.s == 'held' and fields.x or nil
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
-- ARGV  1 fence  2 records, as one list in JSON
-- Returns FENCED, LOADED: {outcome, how many records, a fingerprint of what was read back}.
local function rebuild_load(keys, args)
  if not rebuilding(keys, args) then return { 'FENCED', '' } end
  local texts, records, tag, first = {}, cjson.decode(args[2]), tag_of(keys[1]), 1
  local due = {}
  while first <= #records do
    local id = records[first + 1]
    local kind, key, at, after = put_record(tag, records, first, true)
    texts[#texts + 1] = read_back(kind, key, records, at)
    local expires_at = kind == 'lock' and expiry_in(records, at)
    if expires_at then due[#due + 1], due[#due + 2] = expires_at, id end
    first = after
  end
  call_with('ZADD', tag .. 'due', due)
  return { 'LOADED', tostring(#texts), redis.sha1hex(table.concat(texts, '\n')) }
end

-- replay: one event that the ledger has and this memory missed. Its entry keeps its id and its fingerprint.
-- KEYS  1 meta
-- ARGV  1 fence  2 the tip before it  3 its position  4 its tip  5 its time in ms  6 the event as JSON  7… records
-- Returns FENCED (or the memory is not shut), UNCHANGED (it was replayed before), TIP_MOVED,
--   REPLAYED: {outcome, '', position}.
local function replay(keys, args)
  if not repairable(keys, args) then return { 'FENCED', '' } end
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
  if not repairable(keys, args) then return { 'FENCED', '' } end
  put_records(tag_of(keys[1]), args, 2)
  return { 'LOADED', '' }
end

-- rebase: from here on this memory continues the ledger; its outbox begins anew.
-- KEYS  1 meta
-- ARGV  1 fence  2 the ledger's tip  3 the ledger's last position  4 the ledger's clock in ms
--       5 the state to be in: shut, or carrying
-- Returns FENCED (or it is not shut), SHUT.
local function rebase(keys, args)
  if not repairable(keys, args) then return { 'FENCED', '' } end
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
