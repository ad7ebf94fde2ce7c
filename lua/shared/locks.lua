-- A lock's record and the answers about it.
--
-- {tag}lock:<lock_id>:
--   s status   v version   p position of the creation
--   f fingerprint of the creating request ('' of an id that was released before any request came)
--   x expires_at in ms (absent: never)   n lines [[sku, warehouse, quantity, deducted], …]
--   q the request, where sourcing chose: [[ranked warehouses], [[sku, quantity, warehouse or ""], …]]
--   o the original lines and y the original expiry (0: never), once a step changed them   e `unlock`, if that ended it
--   r what came back of its shipments: [[sku, units], …]
--   m what its last shipment took though it was missing on the shelf: [[sku, warehouse, units], …]
--   w how it had ended, each time it was opened again: [[the last position of that, status, lines, version], …]
-- {tag}due: lock ids by expiry time, of held locks only.

local LOCK_FIELDS = { 's', 'v', 'f', 'p', 'x', 'n', 'q', 'o', 'y', 'e', 'r', 'm', 'w' }

local function lock_key(shard, lock_id)
  return shard.tag .. 'lock:' .. lock_id
end

local function lines_of(decoded)
  local lines = {}
  for i, line in ipairs(decoded) do
    lines[i] = { sku = line[1], warehouse = line[2], quantity = line[3], deducted = line[4] }
  end
  return lines
end

local function decode_lines(text)
  if #text > LARGE_TEXT then collect_later() end
  return lines_of(cjson.decode(text))
end

local function encode_lines(lines)
  local parts = {}
  for i, line in ipairs(lines) do
    parts[i] = '["' .. line.sku .. '","' .. line.warehouse .. '",' .. text_of(line.quantity) .. ','
      .. text_of(line.deducted) .. ']'
  end
  return '[' .. table.concat(parts, ',') .. ']'
end

-- The lock, or nil if no such lock is remembered.
local function load_lock(shard, lock_id)
  local got = redis.call('HMGET', lock_key(shard, lock_id), unpack(LOCK_FIELDS))
  if not got[1] then return nil end
  local lock = { id = lock_id }
  for i, field in ipairs(LOCK_FIELDS) do lock[field] = got[i] or nil end
  lock.v = tonumber(lock.v)
  return lock
end

-- The fields a step changed, as the event carries them: numbers and lines as JSON, the rest quoted; so are `m` and `w`,
-- whose JSON is text to the ledger: code that does not know them compares and restores them all the same.
local RAW = { v = true, x = true, n = true, q = true, o = true, y = true, r = true, i = true }

local function escaped(text)
  return (string.gsub(text, '"', '\\"'))
end

local function encode_changes(changes, fields)
  local parts = {}
  for _, field in ipairs(fields or LOCK_FIELDS) do
    local value = changes[field]
    if value == false then
      parts[#parts + 1] = '"' .. field .. '":null'
    elseif value ~= nil then
      parts[#parts + 1] = '"' .. field .. '":' .. (RAW[field] and value or quoted(escaped(value)))
    end
  end
  return '{' .. table.concat(parts, ',') .. '}'
end

-- The change that removes a field, if it is there.
local function gone(value)
  if value then return false end
  return nil
end

-- Locks that are created together come into `due` together.
local function add_due(shard, lock)
  local due = shard.together and shard.together.due
  if due then
    due[#due + 1], due[#due + 2] = lock.x, lock.id
  else
    redis.call('ZADD', shard.tag .. 'due', lock.x, lock.id)
  end
end

-- Writes what changed (false: gone), and keeps `due` to the held locks that expire.
local function write_lock(shard, lock, changes)
  local key, set, removed = lock_key(shard, lock.id), {}, {}
  local was_due = lock.s == 'held' and lock.x
  for field, value in pairs(changes) do
    if value == false then
      removed[#removed + 1] = field
    else
      set[#set + 1] = field
      set[#set + 1] = value
    end
    lock[field] = value or nil
  end
  redis.call('HSET', key, unpack(set))
  if #removed > 0 then redis.call('HDEL', key, unpack(removed)) end
  if lock.s == 'held' and lock.x then
    add_due(shard, lock)
  elseif was_due then
    redis.call('ZREM', shard.tag .. 'due', lock.id)
  end
end

-- {outcome, lock_id, position, status, expires_at or '', lines, version}: every answer that shows a lock. It may go on
-- with: more of it (of a repeat the status now, of a refusal its list), units beyond what was on hand ('' for none),
-- and, of a repeated creation whose lock has ended, the status that was answered first.
local function lock_answer(outcome, lock, position)
  return { outcome, lock.id, position, lock.s, lock.x or '', lock.n, lock.v }
end

-- A step that the lock's state does not allow; the answer says the state it is in.
local function illegal(shard, lock)
  return lock_answer(lock.s == 'expired' and 'LOCK_EXPIRED' or 'LOCK_NOT_HELD', lock, shard.last)
end

local function is_open(lock)
  return lock.s == 'held' or lock.s == 'confirmed' or lock.s == 'partly_deducted'
end

local function any_deducted(lines)
  for _, line in ipairs(lines) do
    if line.deducted > 0 then return true end
  end
  return false
end

local function undeducted(lines)
  for _, line in ipairs(lines) do line.deducted = 0 end
  return lines
end

-- The first time a step changes lines or expiry, what the creating answer said is kept beside them.
local function keep_original(lock, changes, keeps_quantities)
  if changes.n and changes.n ~= lock.n and not lock.o and not keeps_quantities then
    changes.o = encode_lines(undeducted(decode_lines(lock.n)))
  end
  if changes.x ~= nil and not lock.y and (lock.x or changes.x) then changes.y = lock.x or '0' end
end
