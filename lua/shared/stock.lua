-- The counts of a SKU: read once, changed in memory, written by `commit`.
--
-- {tag}stock:<sku>: v (version), and per warehouse <w>:a available, :l locked, :d damaged, :t in_transit,
-- :b buffer. A zero is absent, but for :a, which says that the SKU is known in that warehouse.

local STATES = { 'a', 'l', 'd', 't', 'b' }

local function place_of(stock, warehouse)
  local place = stock.places[warehouse]
  if not place then
    place = { a = 0, l = 0, d = 0, t = 0, b = 0, new = true }
    stock.places[warehouse] = place
  end
  return place
end

-- Notes that a state of a warehouse was changed. The first change of a place also writes its `a`, which makes it known.
local function touch(stock, warehouse, place, state)
  local states = stock.touched[warehouse]
  if not states then
    states = {}
    stock.touched[warehouse] = states
    if place.new then states.a = true end
  end
  states[state] = true
end

write_stock = function(stock)
  local set, gone = { 'v', TEXTS[stock.version] or stock.version }, {}
  for warehouse, states in pairs(stock.touched) do
    local place = stock.places[warehouse]
    for state in pairs(states) do
      local count = place[state]
      if count ~= 0 or state == 'a' then
        set[#set + 1] = warehouse .. ':' .. state
        set[#set + 1] = TEXTS[count] or count
      else
        gone[#gone + 1] = warehouse .. ':' .. state
      end
    end
  end
  if #set == 2 and #gone == 0 and not next(stock.touched) then return end
  call_with('HSET', stock.key, set)
  call_with('HDEL', stock.key, gone)
end

local function load_stock(shard, sku)
  local stock = shard.stocks[sku]
  if stock then return stock end
  local key = shard.tag .. 'stock:' .. sku
  local fields = redis.call('HGETALL', key)
  stock = { sku = sku, key = key, version = 0, known = #fields > 0, places = {}, touched = {} }
  for i = 1, #fields, 2 do
    local field, count = fields[i], tonumber(fields[i + 1])
    if field == 'v' then
      stock.version = count
    else
      local place = place_of(stock, string.sub(field, 1, -3))
      place[string.sub(field, -1)] = count
      place.new = false
    end
  end
  shard.stocks[sku] = stock
  shard.loaded[#shard.loaded + 1] = stock
  return stock
end

-- What can be promised of a warehouse: max(0, available - buffer).
local function sellable_of(stock, warehouse)
  local place = stock.places[warehouse]
  if not place then return 0 end
  return math.max(0, place.a - place.b)
end

-- Stages one move and notes it for the event: the new version and the state after it.
local function move(shard, stock, warehouse, source, target, quantity, reason)
  local place = place_of(stock, warehouse)
  if place[source] then
    touch(stock, warehouse, place, source)
    if source ~= target then place[source] = place[source] - quantity end
  end
  if place[target] then
    touch(stock, warehouse, place, target)
    if source ~= target then place[target] = place[target] + quantity end
  end
  place.new = false
  stock.version = stock.version + 1
  local a, l, d, t, b = place.a, place.l, place.d, place.t, place.b
  shard.moves[#shard.moves + 1] = table.concat({
    '["', stock.sku, '",', TEXTS[stock.version] or stock.version, ',"', warehouse, '","', source, '","', target, '",',
    TEXTS[quantity] or quantity, ',[', TEXTS[a] or a, ',', TEXTS[l] or l, ',', TEXTS[d] or d, ',', TEXTS[t] or t, ',',
    TEXTS[b] or b, ']', reason and (',' .. reason) or '', ']',
  })
end

-- True while every staged count fits into an exact number.
local function counts_fit(shard)
  for _, stock in ipairs(shard.loaded) do
    for warehouse in pairs(stock.touched) do
      for _, state in ipairs(STATES) do
        if math.abs(stock.places[warehouse][state]) > COUNT_MAX then return false end
      end
    end
  end
  return true
end
