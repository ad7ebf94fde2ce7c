-- Sourcing: from which warehouses an order's lines are taken. The same rules as app/domain/sourcing.py.
--
-- One warehouse for the whole order if one can; else the fewest that do (up to EXACT_MAX candidates
-- exactly, beyond that greedily), earlier in rank on a tie. A line is split only when no chosen
-- warehouse holds it whole. `held`: {sku -> {warehouse -> quantity}} that a lock being replaced gives back.

local EXACT_MAX = 8

-- Lines of the same SKU and warehouse become one, in order of first appearance. Whoever reads an order merges it: what
-- is said here of lines is said of merged ones.
local function merge_lines(lines)
  if #lines == 1 then return lines end
  local merged, index = {}, {}
  for _, line in ipairs(lines) do
    local of_warehouse = index[line.warehouse]
    if not of_warehouse then
      of_warehouse = {}
      index[line.warehouse] = of_warehouse
    end
    local same = of_warehouse[line.sku]
    if same then
      same.quantity = same.quantity + line.quantity
    else
      same = { sku = line.sku, warehouse = line.warehouse, quantity = line.quantity }
      of_warehouse[line.sku] = same
      merged[#merged + 1] = same
    end
  end
  return merged
end

local function room_of(shard, held, sku, warehouse)
  local kept = held[sku] and held[sku][warehouse] or 0
  return kept + sellable_of(load_stock(shard, sku), warehouse)
end

-- Warehouses in rank order: those asked for; else the setting's order, then all others by code.
local function candidates_of(shard, lines, asked, order)
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
  for _, line in ipairs(lines) do
    if line.warehouse == '' then
      for field in pairs(load_stock(shard, line.sku).counts) do
        local warehouse = known_in(field)
        if warehouse then others[warehouse] = true end
      end
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

-- `kept`: units of it that its lock holds and keeps, which were asked for too.
local function shortage_of(line, sellable, unknown)
  local warehouse = line.warehouse ~= '' and (',"warehouse":"' .. line.warehouse .. '"') or ''
  local kept = line.kept or 0
  return table.concat({
    '{"sku":"', line.sku, '"', warehouse, ',"requested":', line.quantity + kept, ',"sellable":', sellable + kept,
    unknown and ',"unknown":true}' or '}',
  })
end

-- left[i][k]: what candidate k can still give for the i-th free line, once the named lines are served.
local function survey(shard, lines, rank, held)
  local pinned, free, shortages = {}, {}, {}
  for _, line in ipairs(lines) do
    if line.warehouse ~= '' then pinned[line.sku .. '\n' .. line.warehouse] = line.quantity end
  end
  for _, line in ipairs(lines) do
    local unknown = not load_stock(shard, line.sku).known
    local sellable = 0
    if line.warehouse ~= '' then
      sellable = room_of(shard, held, line.sku, line.warehouse)
    else
      local left = {}
      for k, warehouse in ipairs(rank) do
        local named = pinned[line.sku .. '\n' .. warehouse] or 0
        left[k] = math.max(0, room_of(shard, held, line.sku, warehouse) - named)
        sellable = sellable + left[k]
      end
      free[#free + 1] = { line = line, need = line.quantity, left = left }
    end
    if sellable < line.quantity then shortages[#shortages + 1] = shortage_of(line, sellable, unknown) end
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
local function choose(free, rank, lines)
  local chosen, size, named = {}, #rank, {}
  for _, line in ipairs(lines) do
    if line.warehouse ~= '' then named[line.warehouse] = true end
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

-- {k -> quantity} of one free line: whole from the first chosen warehouse that holds it, else split in rank order.
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

-- Whether every line can be had whole: from `warehouse`, or (nil) from the one that the line names.
local function serves(shard, lines, warehouse, held)
  for _, line in ipairs(lines) do
    if room_of(shard, held, line.sku, warehouse or line.warehouse) < line.quantity then return false end
  end
  return true
end

-- The first in rank that can serve lines that name no warehouse alone, or nil: most orders need no more than this.
local function source_whole(shard, lines, asked, order, held)
  for _, warehouse in ipairs(#asked > 0 and asked or order) do
    if serves(shard, lines, warehouse, held) then return warehouse end
  end
  if #asked > 0 then return nil end
  local found
  for field in pairs(load_stock(shard, lines[1].sku).counts) do
    local warehouse = known_in(field)
    if warehouse and (not found or before(warehouse, found)) and serves(shard, lines, warehouse, held) then
      found = warehouse
    end
  end
  return found
end

-- The lines as they are taken: from `warehouse`, or (nil) from the one that each names.
local function taken_from(warehouse, lines)
  local taken = {}
  for i, line in ipairs(lines) do
    taken[i] = { sku = line.sku, warehouse = warehouse or line.warehouse, quantity = line.quantity, deducted = 0 }
  end
  return taken
end

-- An order that several warehouses serve; as `source_lines`.
local function source_split(shard, lines, asked, order, held)
  local rank = candidates_of(shard, lines, asked, order)
  local free, shortages = survey(shard, lines, rank, held)
  if #shortages > 0 then return nil, '[' .. table.concat(shortages, ',') .. ']' end
  local chosen = #free > 0 and choose(free, rank, lines) or {}
  local parts_of, sourced = {}, {}
  for _, item in ipairs(free) do parts_of[item.line] = allocate(item, chosen, #rank) end
  for _, line in ipairs(lines) do
    if line.warehouse ~= '' then
      sourced[#sourced + 1] = line
    else
      for k, warehouse in ipairs(rank) do
        local quantity = parts_of[line][k]
        if quantity then sourced[#sourced + 1] = { sku = line.sku, warehouse = warehouse, quantity = quantity } end
      end
    end
  end
  return taken_from(nil, merge_lines(sourced))
end

-- Lines {sku, warehouse, quantity, deducted = 0}, merged per SKU and warehouse; or nil and the shortages as JSON.
local function source_lines(shard, lines, asked, order, held)
  local named = 0
  for _, line in ipairs(lines) do
    if line.warehouse ~= '' then named = named + 1 end
  end
  if named == 0 then
    local whole = source_whole(shard, lines, asked, order, held)
    if whole then return taken_from(whole, lines) end
  elseif named == #lines and serves(shard, lines, nil, held) then
    return taken_from(nil, lines)
  end
  return source_split(shard, lines, asked, order, held)
end

-- The request as the record keeps it, to source it again; nil if every line named its warehouse and none were ranked.
local function encode_request(lines, asked)
  if #lines == 1 and #asked == 0 and lines[1].warehouse == '' then
    return '[[],[["' .. lines[1].sku .. '",' .. text_of(lines[1].quantity) .. ',""]]]'
  end
  local named, parts, ranked = true, {}, {}
  for i, line in ipairs(lines) do
    if line.warehouse == '' then named = false end
    parts[i] = '["' .. line.sku .. '",' .. text_of(line.quantity) .. ',"' .. line.warehouse .. '"]'
  end
  if named and #asked == 0 then return nil end
  for i, warehouse in ipairs(asked) do ranked[i] = '"' .. warehouse .. '"' end
  return '[[' .. table.concat(ranked, ',') .. '],[' .. table.concat(parts, ',') .. ']]'
end

local NONE = {}

-- A list from ARGV[first] on: a count, then its items. Returns the list and the index after it.
local function read_list(args, first)
  local count = natural(args[first])
  if not count or #args < first + count then return nil end
  if count == 0 then return NONE, first + 1 end
  local list = {}
  for i = 1, count do list[i] = args[first + i] end
  return list, first + count + 1
end
