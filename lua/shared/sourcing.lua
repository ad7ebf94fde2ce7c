-- Sourcing: from which warehouses an order's lines are taken. The same rules as app/domain/sourcing.py.
--
-- One warehouse for the whole order if one can; else the fewest that do (up to EXACT_MAX candidates
-- exactly, beyond that greedily), earlier in rank on a tie. A line is split only when no chosen
-- warehouse holds it whole. `held`: {sku -> {warehouse -> quantity}} that a lock being replaced gives back.

local EXACT_MAX = 8

-- Lines of the same SKU and warehouse become one entry, in order of first appearance.
local function merge_lines(lines)
  local entries, index = {}, {}
  for _, line in ipairs(lines) do
    local name = line.sku .. '\n' .. line.warehouse
    if index[name] then
      index[name].quantity = index[name].quantity + line.quantity
    else
      local entry = { sku = line.sku, warehouse = line.warehouse, quantity = line.quantity }
      index[name] = entry
      entries[#entries + 1] = entry
    end
  end
  return entries
end

local function room_of(shard, held, sku, warehouse)
  local kept = held[sku] and held[sku][warehouse] or 0
  return kept + sellable_of(load_stock(shard, sku), warehouse)
end

-- Warehouses in rank order: those asked for; else the setting's order, then all others by code.
local function candidates_of(shard, entries, asked, order)
  local rank, seen = {}, {}
  local function add(warehouse)
    if not seen[warehouse] then
      seen[warehouse] = true
      rank[#rank + 1] = warehouse
    end
  end
  for _, warehouse in ipairs(asked) do add(warehouse) end
  if #asked > 0 then return rank end
  local others = {}
  for _, entry in ipairs(entries) do
    if entry.warehouse == '' then
      for warehouse in pairs(load_stock(shard, entry.sku).places) do others[warehouse] = true end
    end
  end
  for _, warehouse in ipairs(order) do
    if others[warehouse] then add(warehouse) end
  end
  local rest = {}
  for warehouse in pairs(others) do
    if not seen[warehouse] then rest[#rest + 1] = warehouse end
  end
  table.sort(rest, before)
  for _, warehouse in ipairs(rest) do add(warehouse) end
  return rank
end

local function shortage_of(entry, sellable, unknown)
  local warehouse = entry.warehouse ~= '' and (',"warehouse":"' .. entry.warehouse .. '"') or ''
  return table.concat({
    '{"sku":"', entry.sku, '"', warehouse, ',"requested":', entry.quantity, ',"sellable":', sellable,
    unknown and ',"unknown":true}' or '}',
  })
end

-- left[i][k]: what candidate k can still give for the i-th free entry, once the named lines are served.
local function survey(shard, entries, rank, held)
  local pinned, free, shortages = {}, {}, {}
  for _, entry in ipairs(entries) do
    if entry.warehouse ~= '' then pinned[entry.sku .. '\n' .. entry.warehouse] = entry.quantity end
  end
  for _, entry in ipairs(entries) do
    local unknown = not load_stock(shard, entry.sku).known
    local sellable = 0
    if entry.warehouse ~= '' then
      sellable = room_of(shard, held, entry.sku, entry.warehouse)
    else
      local left = {}
      for k, warehouse in ipairs(rank) do
        local named = pinned[entry.sku .. '\n' .. warehouse] or 0
        left[k] = math.max(0, room_of(shard, held, entry.sku, warehouse) - named)
        sellable = sellable + left[k]
      end
      free[#free + 1] = { entry = entry, need = entry.quantity, left = left }
    end
    if sellable < entry.quantity then shortages[#shortages + 1] = shortage_of(entry, sellable, unknown) end
  end
  return free, shortages
end

local function covers(free, chosen, size)
  for i, item in ipairs(free) do
    local sum = 0
    for k = 1, size do
      if chosen[k] then sum = sum + item.left[k] end
    end
    if sum < item.need then
      free[1], free[i] = free[i], free[1] -- ask the one that failed first next time
      return false
    end
  end
  return true
end

-- Adds `count` of `others` from index `from` on to `chosen`, in rank order, until they cover the order.
local function choose_exactly(free, chosen, size, others, from, count)
  if count == 0 then return covers(free, chosen, size) end
  for i = from, #others - count + 1 do
    chosen[others[i]] = true
    if choose_exactly(free, chosen, size, others, i + 1, count - 1) then return true end
    chosen[others[i]] = nil
  end
  return false
end

-- Adds the candidate that gives the most missing units, earlier in rank on a tie, until all are covered.
local function choose_greedily(free, chosen, size)
  while not covers(free, chosen, size) do
    local best, best_units, missing = nil, 0, {}
    for i, item in ipairs(free) do
      missing[i] = item.need
      for k = 1, size do
        if chosen[k] then missing[i] = math.max(0, missing[i] - item.left[k]) end
      end
    end
    for k = 1, size do
      local units = 0
      for i, item in ipairs(free) do units = units + math.min(missing[i], item.left[k]) end
      if not chosen[k] and units > best_units then best, best_units = k, units end
    end
    chosen[best] = true
  end
end

local function has_any(free, k)
  for _, item in ipairs(free) do
    if item.left[k] > 0 then return true end
  end
  return false
end

-- Warehouses that named lines use anyway cost nothing more.
local function choose(free, rank, entries)
  local chosen, size, named = {}, #rank, {}
  for _, entry in ipairs(entries) do
    if entry.warehouse ~= '' then named[entry.warehouse] = true end
  end
  for k, warehouse in ipairs(rank) do
    if named[warehouse] then chosen[k] = true end
  end
  local others = {}
  for k = 1, size do
    if not chosen[k] and has_any(free, k) then others[#others + 1] = k end
  end
  for count = 0, (#others <= EXACT_MAX and #others or 1) do
    if choose_exactly(free, chosen, size, others, 1, count) then return chosen end
  end
  choose_greedily(free, chosen, size)
  return chosen
end

-- {k -> quantity} of one free entry: whole from the first chosen warehouse that holds it, else split in rank order.
local function allocate(item, chosen, size)
  for k = 1, size do
    if chosen[k] and item.left[k] >= item.need then return { [k] = item.need } end
  end
  local parts, need = {}, item.need
  for k = 1, size do
    if chosen[k] and need > 0 and item.left[k] > 0 then
      parts[k] = math.min(need, item.left[k])
      need = need - parts[k]
    end
  end
  return parts
end

-- The first in rank that holds a single line whole, or nil: most orders need no more than this.
local function source_whole(shard, line, asked, order, held)
  if line.warehouse ~= '' then
    return room_of(shard, held, line.sku, line.warehouse) >= line.quantity and line.warehouse or nil
  end
  for _, warehouse in ipairs(#asked > 0 and asked or order) do
    if room_of(shard, held, line.sku, warehouse) >= line.quantity then return warehouse end
  end
  local found
  if #asked == 0 then
    for warehouse in pairs(load_stock(shard, line.sku).places) do
      if room_of(shard, held, line.sku, warehouse) >= line.quantity and (not found or before(warehouse, found)) then
        found = warehouse
      end
    end
  end
  return found
end

-- Lines {sku, warehouse, quantity, deducted = 0}, merged per SKU and warehouse; or nil and the shortages as JSON.
local function source_lines(shard, lines, asked, order, held)
  local whole = #lines == 1 and source_whole(shard, lines[1], asked, order, held)
  if whole then
    return { { sku = lines[1].sku, warehouse = whole, quantity = lines[1].quantity, deducted = 0 } }
  end
  local entries = merge_lines(lines)
  local rank = candidates_of(shard, entries, asked, order)
  local free, shortages = survey(shard, entries, rank, held)
  if #shortages > 0 then return nil, '[' .. table.concat(shortages, ',') .. ']' end
  local chosen = #free > 0 and choose(free, rank, entries) or {}
  local parts_of, sourced = {}, {}
  for _, item in ipairs(free) do parts_of[item.entry] = allocate(item, chosen, #rank) end
  for _, entry in ipairs(entries) do
    if entry.warehouse ~= '' then
      sourced[#sourced + 1] = entry
    else
      for k, warehouse in ipairs(rank) do
        local quantity = parts_of[entry][k]
        if quantity then
          sourced[#sourced + 1] = { sku = entry.sku, warehouse = warehouse, quantity = quantity }
        end
      end
    end
  end
  local merged = merge_lines(sourced)
  for _, line in ipairs(merged) do line.deducted = 0 end
  return merged
end

-- The request as the record keeps it, to source it again; nil if every line named its warehouse.
local function encode_request(lines, asked)
  if #lines == 1 and lines[1].warehouse ~= '' then return nil end
  local named, parts, ranked = true, {}, {}
  for i, line in ipairs(merge_lines(lines)) do
    if line.warehouse == '' then named = false end
    parts[i] = '["' .. line.sku .. '",' .. line.quantity .. ',"' .. line.warehouse .. '"]'
  end
  if named then return nil end
  for i, warehouse in ipairs(asked) do ranked[i] = '"' .. warehouse .. '"' end
  return '[[' .. table.concat(ranked, ',') .. '],[' .. table.concat(parts, ',') .. ']]'
end

-- A list from ARGV[first] on: a count, then its items. Returns the list and the index after it.
local function read_list(args, first)
  local count = natural(args[first])
  if not count or #args < first + count then return nil end
  local list = {}
  for i = 1, count do list[i] = args[first + i] end
  return list, first + count + 1
end
