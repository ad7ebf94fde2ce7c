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

local function write_stock(stock)
  local set, gone = { 'v', stock.version }, {}
  for warehouse in pairs(stock.touched) do
    local place = stock.places[warehouse]
    for _, state in ipairs(STATES) do
      if place[state] ~= 0 or state == 'a' then
        set[#set + 1] = warehouse .. ':' .. state
        set[#set + 1] = place[state]
      else
        gone[#gone + 1] = warehouse .. ':' .. state
      end
    end
  end
  if #set == 2 then return end
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
  stock.write = function() write_stock(stock) end
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
  if place[source] and source ~= target then place[source] = place[source] - quantity end
  if place[target] and source ~= target then place[target] = place[target] + quantity end
  place.new = false
  stock.version = stock.version + 1
  stock.touched[warehouse] = true
  shard.moves[#shard.moves + 1] = table.concat({
    '["', stock.sku, '",', stock.version, ',"', warehouse, '","', source, '","', target, '",', quantity,
    ',[', place.a, ',', place.l, ',', place.d, ',', place.t, ',', place.b, ']',
    reason and (',' .. reason) or '', ']',
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
