-- One shard: its keys, its gate, its clock, and the commit of a command.
--
-- The gate lives in the server process and nowhere else: a restart, a promoted replica or a freshly
-- loaded library have none. Only `open` sets it, after the books were compared.

local LAYOUT = '1'
local SCHEMA = '4'
local gate = {}

-- Every inner command of this library. `open` tries them against the caller's rights first: with
-- +xadd and without +hset an event would be written and its counts would not.
local INNER_COMMANDS = {
  'time', 'xadd', 'xlen', 'xtrim', 'hmget', 'hgetall', 'hset', 'hdel', 'hget', 'zadd', 'zrem',
  'zrange', 'get', 'set', 'unlink', 'hlen', 'scan', 'xrange',
}

local function meta_of(meta_key)
  local got = redis.call('HMGET', meta_key, 'epoch', 'state', 'layout', 'tip', 'at', 'last', 'outbox_max')
  return {
    epoch = got[1], state = got[2], layout = got[3], tip = got[4] or '', at = got[5] or '0',
    last = got[6] or '', outbox_max = tonumber(got[7] or '0'),
  }
end

-- Milliseconds since 1970, never running backwards within a shard: as a number, and as text, which is what
-- records and events want (turning a large number into text is dear).
local function clock(at)
  local time = redis.call('TIME')
  local text = time[1] .. string.sub('00000' .. time[2], -6, -4)
  local now, latest = tonumber(text), tonumber(at)
  if latest > now then return latest, at end
  return now, text
end

local function tag_of(meta_key)
  return string.sub(meta_key, 1, -5) -- without `meta`
end

-- Whether this memory was checked. Precedence: NOT_READY, UNKNOWN_LAYOUT, NOT_READY.
local function refusal_of(meta, meta_key)
  if not meta.epoch then return 'NOT_READY' end
  if meta.layout ~= LAYOUT then return 'UNKNOWN_LAYOUT' end
  if meta.state ~= 'ready' or gate[meta_key] ~= meta.epoch then return 'NOT_READY' end
  return nil
end

-- KEYS[1] the shard's meta key; ARGV[1] the caller's epoch, ARGV[2] who.
-- Returns the shard, or nil and a refusal: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH.
local function enter(keys, args)
  local meta = meta_of(keys[1])
  local refusal = refusal_of(meta, keys[1])
  if not refusal and args[1] ~= meta.epoch then refusal = 'STALE_EPOCH' end
  if refusal then return nil, { refusal, '' } end
  local now, now_text = clock(meta.at)
  return {
    meta_key = keys[1], tag = tag_of(keys[1]), epoch = meta.epoch, tip = meta.tip, last = meta.last,
    outbox_max = meta.outbox_max, now = now, now_text = now_text, who = args[2], stocks = {}, loaded = {}, moves = {},
    fields = 0,
  }
end

-- New obligations stop at the outbox's hard limit; what gives back or ships goes on.
local function backlog_is_full(shard)
  if shard.outbox_max == 0 then return false end
  shard.backlog = shard.backlog or redis.call('XLEN', shard.tag .. 'outbox')
  return shard.backlog >= shard.outbox_max
end

-- A JSON string. Codes need no escaping (the edge refuses quotes, backslashes and control characters).
local function quoted(text)
  if text == nil or text == '' then return 'null' end
  return '"' .. text .. '"'
end

-- The event as JSON: [schema, kind, recorded_at, op, fingerprint, who, reason, occurred_at, lock_id, lock, moves],
-- and, where it is about another document than a lock, [kind of document, its id, the fields that changed];
-- an event of the inbox goes on with [the ids it is known by besides, its place in its sequence], and one of a
-- document that may be reported several times with [its family, {sku: its sums}].
local function tail_of(event)
  if event.sums then return ',' .. (event.document or 'null') .. ',' .. (event.told or 'null') .. ',' .. event.sums end
  if event.told then return ',' .. (event.document or 'null') .. ',' .. event.told end
  return event.document and (',' .. event.document) or ''
end

local function body_of(shard, event)
  return '[' .. SCHEMA .. ',"' .. event.kind .. '",' .. shard.now_text .. ',' .. quoted(event.op) .. ','
    .. quoted(event.fingerprint) .. ',' .. quoted(shard.who) .. ',' .. (event.reason or 'null') .. ','
    .. (event.occurred_at or 'null') .. ',' .. quoted(event.lock_id) .. ',' .. (event.lock or 'null')
    .. ',[' .. table.concat(shard.moves, ',') .. ']' .. tail_of(event) .. ']'
end

-- HSET and HDEL of any number of items (those from index `from` to `to`, or all): `unpack` of thousands would fail half-way.
local UNPACK_MAX = 1000

local function call_with(command, key, items, from, to)
  to = to or #items
  for first = from or 1, to, UNPACK_MAX do
    redis.call(command, key, unpack(items, first, math.min(first + UNPACK_MAX - 1, to)))
  end
end

-- The fingerprint of an event: of the one before it and its own text.
local function tip_after(tip, body)
  return string.sub(redis.sha1hex(tip .. body), 1, 16)
end

local write_stock -- in stock.lua
local describe_family, write_family -- in documents.lua

local function write_tip(shard)
  redis.call('HSET', shard.meta_key, 'tip', shard.tip, 'at', shard.now_text, 'last', shard.last)
end

-- Several commands in one call: what each would write about the shard itself is written once, by `end_together`.
local function begin_together(shard)
  shard.together = { due = {} }
end

local function end_together(shard)
  local together = shard.together
  if together.any then write_tip(shard) end
  call_with('ZADD', shard.tag .. 'due', together.due)
end

-- Writes the event, then the tip, then the counts. XADD comes first: a missing stream, an id out of
-- order or a wrong type fail before any count changed. Returns the position, or nil if there is no stream.
local function commit(shard, event)
  if event.family then event.sums = describe_family(event.family) end
  local body = body_of(shard, event)
  local position = redis.call('XADD', shard.tag .. 'outbox', 'NOMKSTREAM', shard.epoch .. '-*',
    'p', shard.tip, 'e', body)
  if not position then return nil end
  -- From here on nothing can fail.
  shard.tip, shard.last = tip_after(shard.tip, body), position
  if shard.backlog then shard.backlog = shard.backlog + 1 end
  if shard.together then shard.together.any = true else write_tip(shard) end
  for _, stock in ipairs(shard.loaded) do write_stock(stock) end
  if event.sums then write_family(shard, event.family) end
  return position
end
