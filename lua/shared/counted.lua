-- What was counted when. A fact that happened before a count is in that count already: it is booked, and its
-- opposite with it, as of the count, so that what was counted stands whenever the fact arrives.
--
-- {tag}counted:<sku>: per warehouse its last counts, oldest first: [[counted_at in ms, 1 if damaged ones too], …]

local fact_move, note_counts, happened_since

do
  local COUNTS_MAX = 8
  local NEVER = {}

  local function counted_key(shard, sku)
    return shard.tag .. 'counted:' .. sku
  end

  local function counts_of(shard, sku, warehouse)
    local counted = shard.counted or {}
    shard.counted = counted
    local known = counted[warehouse] or {}
    counted[warehouse] = known
    local counts = known[sku]
    if not counts then
      local text = redis.call('HGET', counted_key(shard, sku), warehouse)
      counts = text and cjson.decode(text) or NEVER
      known[sku] = counts
    end
    return counts
  end

  -- When the shelf of a fact was counted first, at its time or later; nil if it was not.
  local function counted_since(shard, sku, warehouse, shelf, at)
    for _, count in ipairs(counts_of(shard, sku, warehouse)) do
      if count[1] >= at and (shelf == 'a' or count[2] == 1) then return count[1] end
    end
    return nil
  end

  -- The opposite of what a fact did to a shelf, if that was counted since.
  local function settle(shard, stock, warehouse, state, quantity, at, gone)
    local shelf = state == 'd' and 'd' or (state == 'a' or state == 'l') and 'a'
    local counted_at = shelf and counted_since(shard, stock.sku, warehouse, shelf, at)
    if not counted_at then return end
    -- A move's text ends in its reason, its other end (none here) and its own time.
    local reason = '"counted",null,null,' .. text_of(counted_at)
    local source, target = shelf, 'j'
    if gone then source, target = target, source end
    move(shard, stock, warehouse, source, target, quantity, reason)
  end

  -- A move of what happened `at` (ms; nil: now, which no count is after).
  fact_move = function(shard, stock, warehouse, source, target, quantity, reason, to_warehouse, at)
    move(shard, stock, warehouse, source, target, quantity, reason, to_warehouse)
    if not at or quantity == 0 then return end
    settle(shard, stock, warehouse, source, quantity, at, true)
    settle(shard, stock, to_warehouse or warehouse, target, quantity, at, false)
  end

  local function encode_counts(counts)
    local parts = {}
    for i, count in ipairs(counts) do parts[i] = '[' .. text_of(count[1]) .. ',' .. text_of(count[2]) .. ']' end
    return '[' .. table.concat(parts, ',') .. ']'
  end

  -- Adds a count in order of time; the oldest are forgotten.
  local function add_count(counts, at, damaged)
    local place = #counts + 1
    while place > 1 and counts[place - 1][1] > at do place = place - 1 end
    local same = counts[place - 1]
    if same and same[1] == at then
      same[2] = math.max(same[2], damaged)
    else
      table.insert(counts, place, { at, damaged })
    end
    if #counts > COUNTS_MAX then table.remove(counts, 1) end
  end

  -- Remembers that the SKUs of these bookings were counted; a booking of damaged ones says that those were too.
  note_counts = function(shard, warehouse, lines, at)
    local skus, damaged = {}, {}
    for _, line in ipairs(lines) do
      if not damaged[line.sku] then skus[#skus + 1], damaged[line.sku] = line.sku, 0 end
      if line.source == 'd' or line.target == 'd' then damaged[line.sku] = 1 end
    end
    for _, sku in ipairs(skus) do
      local counts = counts_of(shard, sku, warehouse)
      if counts == NEVER then counts = {} end
      add_count(counts, math.min(at, shard.now), damaged[sku])
      redis.call('HSET', counted_key(shard, sku), warehouse, encode_counts(counts))
    end
  end

  local EVENTS_MAX = 20000
  local BYTES_MAX = 5000000 -- of all of those events
  local DECODED_MAX = 1000000 -- and of those that need to be looked into
  local CHUNK = 100
  local SHELVES = { a = 'a', l = 'a', d = 'd' }
  -- What never changes how much is on a shelf: their events need not be read.
  local INDOORS = {
    lock = true, unlock = true, confirm = true, extend = true, expire = true, replace = true, reopen = true,
    buffer = true, open = true, hold = true, drop = true, told = true,
  }

  local function touches(event, skus, warehouse, at)
    for _, m in ipairs(event[11]) do
      local happened = m[11] or (event[8] ~= cjson.null and event[8]) or event[3]
      local here = skus[m[1]] and (m[3] == warehouse or m[9] == warehouse)
      if here and happened <= at and SHELVES[m[4]] ~= SHELVES[m[5]] then return true end
    end
    return false
  end

  -- Whether one of these entries says so, or all that were read are too much; `read` counts their bytes.
  local function any_touches(entries, skus, warehouse, at, read)
    for _, entry in ipairs(entries) do
      local body = entry[2][4]
      read.all = read.all + #body
      if not INDOORS[string.match(body, '^%[%d+,"([a-z_]+)"')] then
        read.decoded = read.decoded + #body
        if read.decoded > DECODED_MAX or touches(cjson.decode(body), skus, warehouse, at) then return true end
      end
      if read.all > BYTES_MAX then return true end
    end
    return false
  end

  -- Whether something that happened before a count was booked behind `since`: whoever computed its difference
  -- could not know. True too if there is more than can be read.
  happened_since = function(shard, since, warehouse, lines, at)
    if since == '' or since == shard.last then return false end
    local skus, after, read = {}, since, { all = 0, decoded = 0 }
    for _, line in ipairs(lines) do skus[line.sku] = true end
    for _ = 1, EVENTS_MAX / CHUNK do
      local entries = redis.call('XRANGE', shard.tag .. 'outbox', '(' .. after, '+', 'COUNT', CHUNK)
      if any_touches(entries, skus, warehouse, at, read) then return true end
      if #entries < CHUNK then return false end
      after = entries[#entries][1]
    end
    return true
  end
end
