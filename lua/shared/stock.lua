-- The counts of a SKU: read once, changed in memory, written by `commit`. Of a SKU only what a command is about is read,
-- where it says so: with thousands of lines in hundreds of warehouses the rest would cost more than the command.
--
-- {tag}stock:<sku>: v (version), and per warehouse <w>:a available, :l locked, :d damaged, :t in_transit,
-- :b buffer. A zero is absent, but for :a, which says that the SKU is known in that warehouse.

local STATES = { 'a', 'l', 'd', 't', 'b' }

-- The fields of a warehouse by state, and of each field the warehouse that it says the SKU is known in, or false: the
-- warehouses of a shop are few, so most were met before.
local FIELDS_MAX = 20480
local fields_of_warehouses, known_by_fields, fields_met = {}, {}, 0

local function meet(warehouse)
  if fields_met >= FIELDS_MAX then fields_of_warehouses, known_by_fields, fields_met = {}, {}, 0 end
  local fields = {}
  for _, state in ipairs(STATES) do
    fields[state] = warehouse .. ':' .. state
    known_by_fields[fields[state]] = state == 'a' and warehouse
  end
  fields_of_warehouses[warehouse], fields_met = fields, fields_met + #STATES
  return fields
end

local function fields_of(warehouse)
  return fields_of_warehouses[warehouse] or meet(warehouse)
end

-- The warehouse that a field says the SKU is known in, which is that of `<w>:a`; nil for any other.
local function known_in(field)
  if known_by_fields[field] == nil then meet(string.sub(field, 1, -3)) end
  return known_by_fields[field] or nil
end

-- Notes that a state of a warehouse was changed. The first change of a place also writes its `a`, which makes it known.
local function touch(stock, fields, state)
  if not stock.counts[fields.a] then
    stock.counts[fields.a], stock.touched[fields.a] = 0, 'a'
  end
  stock.touched[fields[state]] = state
end

write_stock = function(stock)
  if not next(stock.touched) then return end
  local set, n, gone, counts = { 'v', text_of(stock.version) }, 2, nil, stock.counts
  for field, state in pairs(stock.touched) do
    local count = counts[field]
    if count ~= 0 or state == 'a' then
      set[n + 1], set[n + 2] = field, text_of(count)
      n = n + 2
    else
      gone = gone or {}
      gone[#gone + 1] = field
    end
  end
  if n <= UNPACK_MAX then redis.call('HSET', stock.key, unpack(set, 1, n)) else call_with('HSET', stock.key, set) end
  if gone then call_with('HDEL', stock.key, gone) end
end

-- A SKU of which something was read has the `places` that were, one of which all was read has none.
local function new_stock(shard, sku, places)
  local stock = {
    sku = sku, key = shard.tag .. 'stock:' .. sku, version = 0, known = false, counts = {}, touched = {}, places = places,
  }
  shard.stocks[sku] = stock
  shard.loaded[#shard.loaded + 1] = stock
  return stock
end

-- The rest of a SKU of which places were read: those stay as they are staged.
local function read_rest(shard, stock)
  local got, staged = redis.call('HGETALL', stock.key), { v = true }
  for warehouse in pairs(stock.places) do
    for _, field in pairs(fields_of(warehouse)) do staged[field] = true end
  end
  for i = 1, #got, 2 do
    if not staged[got[i]] then stock.counts[got[i]] = tonumber(got[i + 1]) end
  end
  stock.known, stock.places = #got > 0, nil
  shard.fields = shard.fields + #got
end

-- One warehouse of a SKU.
local function read_place(stock, warehouse)
  local f, counts = fields_of(warehouse), stock.counts
  local got = redis.call('HMGET', stock.key, 'v', f.a, f.l, f.d, f.t, f.b)
  if not next(stock.places) then stock.version, stock.known = tonumber(got[1] or 0), got[1] ~= false end
  stock.places[warehouse] = true
  if got[2] then counts[f.a] = tonumber(got[2]) end
  if got[3] then counts[f.l] = tonumber(got[3]) end
  if got[4] then counts[f.d] = tonumber(got[4]) end
  if got[5] then counts[f.t] = tonumber(got[5]) end
  if got[6] then counts[f.b] = tonumber(got[6]) end
end

-- What can be promised of a SKU, of which nothing was read, in several warehouses: read in one go, with nothing else of them.
local function read_rooms(shard, sku, warehouses)
  local stock, asked, rooms = new_stock(shard, sku, {}), { 'v' }, {}
  for _, warehouse in ipairs(warehouses) do
    local f, n = fields_of(warehouse), #asked
    asked[n + 1], asked[n + 2] = f.a, f.b
  end
  local got = redis.call('HMGET', stock.key, unpack(asked))
  shard.fields = shard.fields + 2 * #asked
  stock.known = got[1] ~= false
  for i, warehouse in ipairs(warehouses) do
    rooms[warehouse] = math.max(0, tonumber(got[2 * i] or 0) - tonumber(got[2 * i + 1] or 0))
  end
  stock.rooms = rooms
end

-- A SKU: all of it; or, if a warehouse is named, at least what is there. `shard.fields` counts the fields that were read
-- of whole SKUs and of several places at once, twice.
local function load_stock(shard, sku, warehouse)
  local stock = shard.stocks[sku]
  if stock then
    local places = stock.places
    if not places or places[warehouse] then return stock end
    if warehouse then read_place(stock, warehouse) else read_rest(shard, stock) end
    return stock
  end
  if warehouse then
    stock = new_stock(shard, sku, {})
    read_place(stock, warehouse)
    return stock
  end
  local key, counts = shard.tag .. 'stock:' .. sku, {}
  local got = redis.call('HGETALL', key)
  stock = { sku = sku, key = key, version = 0, known = #got > 0, counts = counts, touched = {} }
  for i = 1, #got, 2 do
    local field = got[i]
    if field == 'v' then stock.version = tonumber(got[i + 1]) else counts[field] = tonumber(got[i + 1]) end
  end
  shard.stocks[sku] = stock
  shard.loaded[#shard.loaded + 1] = stock
  shard.fields = shard.fields + #got
  return stock
end

-- The fields of a warehouse, whose counts are read by then.
local function place_of(stock, warehouse)
  if stock.places and not stock.places[warehouse] then read_place(stock, warehouse) end
  return fields_of(warehouse)
end

local function count_of(stock, warehouse, state)
  return stock.counts[place_of(stock, warehouse)[state]] or 0
end

-- Where a SKU that was read whole is known, in no order.
local function warehouses_of(stock)
  if not stock.warehouses then
    local warehouses = {}
    for field in pairs(stock.counts) do
      local warehouse = known_in(field)
      if warehouse then warehouses[#warehouses + 1] = warehouse end
    end
    stock.warehouses = warehouses
  end
  return stock.warehouses
end

-- The state of a warehouse as an event says it: [available, locked, damaged, in_transit, buffer].
local function state_of(counts, fields)
  return '[' .. text_of(counts[fields.a] or 0) .. ',' .. text_of(counts[fields.l] or 0) .. ','
    .. text_of(counts[fields.d] or 0) .. ',' .. text_of(counts[fields.t] or 0) .. ','
    .. text_of(counts[fields.b] or 0) .. ']'
end

-- Stages one move and notes it for the event: the new version and the state after it.
-- `to_warehouse`: where it leads, if that is another warehouse; then the event says the state after it there, too.
local function move(shard, stock, warehouse, source, target, quantity, reason, to_warehouse)
  local counts, here = stock.counts, stock.places and place_of(stock, warehouse) or fields_of(warehouse)
  local there = to_warehouse and place_of(stock, to_warehouse) or here
  if here[source] then
    touch(stock, here, source)
    counts[here[source]] = (counts[here[source]] or 0) - quantity
  end
  if there[target] then
    touch(stock, there, target)
    counts[there[target]] = (counts[there[target]] or 0) + quantity
  end
  stock.version = stock.version + 1
  local more = ''
  if to_warehouse then
    more = ',' .. (reason or 'null') .. ',"' .. to_warehouse .. '",' .. state_of(counts, there)
  elseif reason then
    more = ',' .. reason
  end
  -- In one go, with what `state_of` says: of thousands of moves each text in between would be dear.
  shard.moves[#shard.moves + 1] = '["' .. stock.sku .. '",' .. text_of(stock.version) .. ',"' .. warehouse .. '","'
    .. source .. '","' .. target .. '",' .. text_of(quantity) .. ',[' .. text_of(counts[here.a] or 0) .. ','
    .. text_of(counts[here.l] or 0) .. ',' .. text_of(counts[here.d] or 0) .. ',' .. text_of(counts[here.t] or 0) .. ','
    .. text_of(counts[here.b] or 0) .. ']' .. more .. ']'
end

-- True while every count of the SKUs that were read, as staged, fits into an exact number.
local function counts_fit(shard)
  for _, stock in ipairs(shard.loaded) do
    for _, count in pairs(stock.counts) do
      if math.abs(count) > COUNT_MAX then return false end
    end
  end
  return true
end

-- Moves what an order's sourced lines ask for to the locked units.
local function take_stock(shard, lines)
  for _, line in ipairs(lines) do
    move(shard, load_stock(shard, line.sku, line.warehouse), line.warehouse, 'a', 'l', line.quantity)
  end
end

local function give_back(shard, lines, taken)
  for _, line in ipairs(lines) do
    local quantity = taken[line] or 0
    if quantity > 0 then
      move(shard, load_stock(shard, line.sku, line.warehouse), line.warehouse, 'l', 'a', quantity)
    end
  end
end

-- Units of SKUs in warehouses, {sku, warehouse, units} each, as JSON.
local function encode_units(list)
  local parts = {}
  for i, one in ipairs(list) do parts[i] = '["' .. one[1] .. '","' .. one[2] .. '",' .. text_of(one[3]) .. ']' end
  return '[' .. table.concat(parts, ',') .. ']'
end

local function on_hand_of(stock, warehouse)
  local fields, counts = place_of(stock, warehouse), stock.counts
  return (counts[fields.a] or 0) + (counts[fields.l] or 0)
end

-- The shelves that lines are about, with what is on hand there before anything is staged: {stock, warehouse, units}
-- each. `warehouse`: where all of them are, if no line says so.
local function shelves_of(shard, lines, warehouse)
  local shelves, met = {}, {}
  for _, line in ipairs(lines) do
    local where = warehouse or line.warehouse
    local stock = load_stock(shard, line.sku, where)
    if not met[line.sku .. '\n' .. where] then
      met[line.sku .. '\n' .. where] = true
      shelves[#shelves + 1] = { stock, where, on_hand_of(stock, where) }
    end
  end
  return shelves
end

-- What is taken, as staged, beyond what was on these shelves, as JSON; nil for nothing.
local function missing_from(shelves)
  local missing = {}
  for _, shelf in ipairs(shelves) do
    local stock, warehouse, before = shelf[1], shelf[2], shelf[3]
    local units = math.max(0, -on_hand_of(stock, warehouse)) - math.max(0, -before)
    if units > 0 then missing[#missing + 1] = { stock.sku, warehouse, units } end
  end
  return #missing > 0 and encode_units(missing) or nil
end
