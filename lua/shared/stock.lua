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
  local set, gone = { 'v', text_of(stock.version) }, {}
  for warehouse, states in pairs(stock.touched) do
    local place = stock.places[warehouse]
    for state in pairs(states) do
      local count = place[state]
      if count ~= 0 or state == 'a' then
        set[#set + 1] = warehouse .. ':' .. state
        set[#set + 1] = text_of(count)
      else
        gone[#gone + 1] = warehouse .. ':' .. state
      end
    end
  end
  if #set == 2 and #gone == 0 and not next(stock.touched) then return end
  call_with('HSET', stock.key, set)
  call_with('HDEL', stock.key, gone)
end

-- Which place and count a field is of: {warehouse, state}. The fields of a shop are few, so most were met before.
local PLACES_MAX = 4096
local places_of_fields, places_met = {}, 0

local function place_of_field(field)
  local found = places_of_fields[field]
  if found then return found end
  if places_met == PLACES_MAX then places_of_fields, places_met = {}, 0 end
  found = { string.sub(field, 1, -3), string.sub(field, -1) }
  places_of_fields[field], places_met = found, places_met + 1
  return found
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
      local met = place_of_field(field)
      local place = place_of(stock, met[1])
      place[met[2]] = count
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

-- What a move over two warehouses says in addition: where it leads, and the state after it there.
local function other_end(place, to_warehouse, reason)
  return ',' .. (reason or 'null') .. ',"' .. to_warehouse .. '",[' .. text_of(place.a) .. ',' .. text_of(place.l) .. ','
    .. text_of(place.d) .. ',' .. text_of(place.t) .. ',' .. text_of(place.b) .. ']'
end

-- Stages one move and notes it for the event: the new version and the state after it.
-- `to_warehouse`: where it leads, if that is another warehouse.
local function move(shard, stock, warehouse, source, target, quantity, reason, to_warehouse)
  local place = place_of(stock, warehouse)
  local there = to_warehouse and place_of(stock, to_warehouse) or place
  if place[source] then
    touch(stock, warehouse, place, source)
    if source ~= target then place[source] = place[source] - quantity end
  end
  if there[target] then
    touch(stock, to_warehouse or warehouse, there, target)
    if source ~= target then there[target] = there[target] + quantity end
  end
  place.new, there.new = false, false
  stock.version = stock.version + 1
  local a, l, d, t, b = place.a, place.l, place.d, place.t, place.b
  shard.moves[#shard.moves + 1] = '["' .. stock.sku .. '",' .. text_of(stock.version) .. ',"' .. warehouse .. '","'
    .. source .. '","' .. target .. '",' .. text_of(quantity)
    .. ',[' .. text_of(a) .. ',' .. text_of(l) .. ',' .. text_of(d) .. ',' .. text_of(t) .. ',' .. text_of(b) .. ']'
    .. (to_warehouse and other_end(there, to_warehouse, reason) or reason and (',' .. reason) or '') .. ']'
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

-- Moves what an order's sourced lines ask for to the locked units.
local function take_stock(shard, lines)
  for _, line in ipairs(lines) do
    move(shard, load_stock(shard, line.sku), line.warehouse, 'a', 'l', line.quantity)
  end
end

local function give_back(shard, lines, taken)
  for _, line in ipairs(lines) do
    local quantity = taken[line] or 0
    if quantity > 0 then move(shard, load_stock(shard, line.sku), line.warehouse, 'l', 'a', quantity) end
  end
end
