-- Sourcing: from which warehouses an order's lines are taken. The same rules as app/domain/sourcing.py.
--
-- One warehouse for the whole order if one can; else the fewest that do (up to EXACT_MAX candidates
-- exactly, beyond that greedily), earlier in rank on a tie. A line is split only when no chosen
-- warehouse holds it whole. `held`: {sku -> {warehouse -> quantity}} that a lock being replaced gives back.
--
-- The work is bounded. A choice is a line that names no warehouse with a warehouse it may come from: one that is asked
-- for, else one where its SKU is known. An order of several lines with more choices, one with more candidates, or one that
-- takes too many warehouses or lines, is refused: TOO_MANY_CHOICES. Which those are does not depend on how the work is done.

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

local source_lines, shortage_of

do
  local EXACT_MAX = 8
  local CHOICES_MAX = 20000
  local CANDIDATES_MAX = 2000
  local PICKING_MAX = 300000 -- what is looked at while warehouses are picked greedily: see `choose_greedily`
  local SOURCED_MAX = 2000

  -- What can be promised of a SKU in a warehouse, max(0, available - buffer), and what is kept for the order there: of a
  -- closed one no more than that.
  local function room_of(shard, held, sku, warehouse)
    local kept, stock = held[sku] and held[sku][warehouse] or 0, shard.stocks[sku]
    local is_closed, rooms = shard.closed and shard.closed[warehouse], stock and stock.rooms
    if rooms and rooms[warehouse] then return is_closed and kept or kept + rooms[warehouse] end
    local counts, fields = load_stock(shard, sku, warehouse).counts, fields_of(warehouse)
    if is_closed then return kept end
    return kept + math.max(0, (counts[fields.a] or 0) - (counts[fields.b] or 0))
  end

  -- Each warehouse once, in order of first appearance.
  local function each_once(warehouses)
    local list, seen = {}, {}
    for _, warehouse in ipairs(warehouses) do
      if not seen[warehouse] then seen[warehouse], list[#list + 1] = true, warehouse end
    end
    return list
  end

  -- Whether lines that name no warehouse have too many, where none are asked for. A SKU has fewer warehouses than fields: so
  -- this need not be counted before more fields than CHOICES_MAX were read.
  local function has_too_many(shard, lines)
    local choices = 0
    for _, line in ipairs(lines) do
      if line.warehouse == '' then choices = choices + #warehouses_of(load_stock(shard, line.sku)) end
      if choices > CHOICES_MAX then return true end
    end
    return false
  end

  -- Reads what is there in the warehouses that are asked for, all of a line's in one go.
  local function read_asked(shard, lines, asked)
    for _, line in ipairs(lines) do
      if line.warehouse == '' and not shard.stocks[line.sku] then read_rooms(shard, line.sku, asked) end
    end
  end

  -- Warehouses in rank order: those asked for; else the setting's order, then all others by code.
  local function candidates_of(shard, lines, asked, order)
    if #asked > 0 then return asked end
    local rank, others, rest = {}, {}, {}
    for _, line in ipairs(lines) do
      if line.warehouse == '' then
        for _, warehouse in ipairs(warehouses_of(load_stock(shard, line.sku))) do others[warehouse] = true end
      end
    end
    for _, warehouse in ipairs(order) do
      if others[warehouse] then rank[#rank + 1], others[warehouse] = warehouse, nil end
    end
    for warehouse in pairs(others) do rest[#rest + 1] = warehouse end
    if #rank + #rest > CANDIDATES_MAX then return nil end
    table.sort(rest, before)
    for _, warehouse in ipairs(rest) do rank[#rank + 1] = warehouse end
    return rank
  end

  -- `kept`: units of it that its lock holds and keeps, which were asked for too.
  shortage_of = function(line, sellable, unknown)
    local warehouse = line.warehouse ~= '' and (',"warehouse":"' .. line.warehouse .. '"') or ''
    local kept = line.kept or 0
    return table.concat({
      '{"sku":"', line.sku, '"', warehouse, ',"requested":', line.quantity + kept, ',"sellable":', sellable + kept,
      unknown and ',"unknown":true}' or '}',
    })
  end

  -- What a line that names no warehouse may be given, once the named lines are served: {k -> units of candidate k}, without
  -- those that have none; and the sum.
  local function left_of(shard, line, asked, index, pinned, held)
    local left, sum, named = {}, 0, pinned[line.sku]
    local warehouses = #asked > 0 and asked or warehouses_of(load_stock(shard, line.sku))
    local stock, kept = shard.stocks[line.sku], held[line.sku]
    -- All of it was read, none of it is held, and no warehouse is closed.
    local counts = stock and not stock.places and not kept and not shard.closed and stock.counts
    for _, warehouse in ipairs(warehouses) do
      local units
      if counts then
        local fields = fields_of(warehouse)
        units = (counts[fields.a] or 0) - (counts[fields.b] or 0)
      else
        units = room_of(shard, held, line.sku, warehouse)
      end
      units = units - (named and named[warehouse] or 0)
      if units > 0 then left[index[warehouse]], sum = units, sum + units end
    end
    return left, sum
  end

  -- The lines that name no warehouse, each with its need and what is left for it; and every shortage.
  local function survey(shard, lines, rank, asked, held)
    local pinned, free, shortages, index = {}, {}, {}, {}
    for k, warehouse in ipairs(rank) do index[warehouse] = k end
    for _, line in ipairs(lines) do
      if line.warehouse ~= '' then
        pinned[line.sku] = pinned[line.sku] or {}
        pinned[line.sku][line.warehouse] = line.quantity
      end
    end
    for _, line in ipairs(lines) do
      local sellable, left
      if line.warehouse ~= '' then
        sellable = room_of(shard, held, line.sku, line.warehouse)
      else
        left, sellable = left_of(shard, line, asked, index, pinned, held)
        free[#free + 1] = { line = line, need = line.quantity, left = left }
      end
      if sellable < line.quantity then
        shortages[#shortages + 1] = shortage_of(line, sellable, not shard.stocks[line.sku].known)
      end
    end
    return free, shortages
  end

  -- What each line still needs beside the warehouses that are chosen anyway: those that need nothing any more are left out.
  local function open_items(free, chosen)
    local open = {}
    for _, item in ipairs(free) do
      local missing = item.need
      for k in pairs(chosen) do missing = missing - (item.left[k] or 0) end
      if missing > 0 then open[#open + 1] = { missing = missing, left = item.left } end
    end
    return open
  end

  -- The first item, from `first` on, that these candidates do not give what is missing; one more than there are if they do.
  local function first_uncovered(open, first, candidates, count)
    for i = first, #open do
      local item, sum = open[i], 0
      for n = 1, count do
        sum = sum + (item.left[candidates[n]] or 0)
        if sum >= item.missing then break end
      end
      if sum < item.missing then return i end
    end
    return #open + 1
  end

  -- Of `others` (at most EXACT_MAX) the fewest that give what is missing, earlier in rank on a tie: those first in the
  -- order of their places. What a set covers, a larger one does: each begins at the item where the sets that it is made of
  -- ended, so that all sets together look at each item not much more often than there are sets of one size.
  local function choose_exactly(open, others)
    local ends, picked = { [0] = 1 }, {}
    local function search(count, from, size, mask)
      if size == count then
        local first = 1
        for n = 1, count do first = math.max(first, ends[mask - 2 ^ picked[n]] or 1) end
        local candidates = {}
        for n = 1, count do candidates[n] = others[picked[n] + 1] end
        ends[mask] = first_uncovered(open, first, candidates, count)
        return ends[mask] > #open and candidates or nil
      end
      for place = from, #others - (count - size) do
        picked[size + 1] = place
        local found = search(count, place + 1, size + 1, mask + 2 ^ place)
        if found then return found end
      end
      return nil
    end
    for count = 1, #others do
      local found = search(count, 0, 0, 0)
      if found then return found end
    end
    return nil
  end

  -- The first of `others` that gives all that is missing, or nil.
  local function choose_one(open, others)
    for _, k in ipairs(others) do
      if first_uncovered(open, 1, { k }, 1) > #open then return { k } end
    end
    return nil
  end

  -- Units that each candidate gives of what is missing, and the items that it has anything for. Of each item: how many
  -- candidates have any, and the most that one of them has.
  local function gains_of(open)
    local gains, items_at = {}, {}
    for _, item in ipairs(open) do
      item.size, item.most = 0, 0
      for k, units in pairs(item.left) do
        gains[k] = (gains[k] or 0) + math.min(item.missing, units)
        items_at[k] = items_at[k] or {}
        table.insert(items_at[k], item)
        item.size, item.most = item.size + 1, math.max(item.most, units)
      end
    end
    return gains, items_at
  end

  -- An item takes what a picked candidate has for it: those that have more than is missing then can give less of it from
  -- then on. Returns at how many candidates it had to look.
  local function take_from(item, picked, gains)
    local before_it = item.missing
    item.missing = math.max(0, before_it - item.left[picked])
    if item.missing >= item.most then return 0 end
    for k, units in pairs(item.left) do
      if units > item.missing then
        gains[k] = gains[k] - math.min(before_it, units) + math.min(item.missing, units)
      end
    end
    return item.size
  end

  -- The candidates that give the most missing units, one after the other, earlier in rank on a tie, until nothing is
  -- missing. nil if that is too much work: a pick looks at each candidate, and at those of each item that it changes.
  local function choose_greedily(open, others)
    local gains, items_at = gains_of(open)
    local picks, left, is_picked, work = {}, #open, {}, 0
    while left > 0 do
      local best
      for _, k in ipairs(others) do
        if not is_picked[k] and (gains[k] or 0) > (best and gains[best] or 0) then best = k end
      end
      is_picked[best], picks[#picks + 1], work = true, best, work + #others
      for _, item in ipairs(items_at[best]) do
        if item.missing > 0 then
          work = work + take_from(item, best, gains)
          if item.missing == 0 then left = left - 1 end
        end
      end
      if work > PICKING_MAX then return nil end
    end
    return picks
  end

  -- The candidates that have anything, in rank order, but for those that are chosen.
  local function others_of(free, rank, chosen)
    local has_any, others = {}, {}
    for _, item in ipairs(free) do
      for k in pairs(item.left) do has_any[k] = true end
    end
    for k = 1, #rank do
      if has_any[k] and not chosen[k] then others[#others + 1] = k end
    end
    return others
  end

  -- The places in `rank` of the chosen warehouses, in that order; nil if there are too many choices. Warehouses that named
  -- lines use anyway cost nothing more.
  local function choose(free, rank, lines)
    local chosen, named, list = {}, {}, {}
    for _, line in ipairs(lines) do
      if line.warehouse ~= '' then named[line.warehouse] = true end
    end
    for k, warehouse in ipairs(rank) do
      if named[warehouse] then chosen[k] = true end
    end
    local open = open_items(free, chosen)
    if #open > 0 then
      local others, more = others_of(free, rank, chosen), nil
      if #others <= EXACT_MAX then
        more = choose_exactly(open, others)
      else
        more = choose_one(open, others) or choose_greedily(open, others)
      end
      if not more then return nil end
      for _, k in ipairs(more) do chosen[k] = true end
    end
    for k = 1, #rank do
      if chosen[k] then list[#list + 1] = k end
    end
    return list
  end

  -- Adds what is taken for one free line: whole from the first chosen warehouse that holds it, else split in rank order.
  local function allocate(item, chosen, rank, sourced)
    local sku, need, left = item.line.sku, item.need, item.left
    for _, k in ipairs(chosen) do
      if (left[k] or 0) >= need then
        sourced[#sourced + 1] = { sku = sku, warehouse = rank[k], quantity = need }
        return
      end
    end
    for _, k in ipairs(chosen) do
      local units = math.min(need, left[k] or 0)
      if units > 0 then
        sourced[#sourced + 1] = { sku = sku, warehouse = rank[k], quantity = units }
        need = need - units
      end
    end
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
    if not rank then return nil, nil end
    local free, shortages = survey(shard, lines, rank, asked, held)
    if #shortages > 0 then return nil, '[' .. table.concat(shortages, ',') .. ']' end
    local chosen = choose(free, rank, lines)
    if not chosen then return nil, nil end
    local item_of, sourced = {}, {}
    for _, item in ipairs(free) do item_of[item.line] = item end
    for _, line in ipairs(lines) do
      if item_of[line] then allocate(item_of[line], chosen, rank, sourced) else sourced[#sourced + 1] = line end
    end
    local taken = taken_from(nil, merge_lines(sourced))
    if #taken > SOURCED_MAX and #free > 0 then return nil, nil end
    return taken
  end

  -- `order`: see `read_order_of_warehouses`.
  -- Lines {sku, warehouse, quantity, deducted = 0}, merged per SKU and warehouse; or nil and the shortages as JSON, which
  -- are nil if there are too many choices: see `unsourced`.
  source_lines = function(shard, lines, asked, order, held)
    local named, fields_max = 0, #lines > 1 and 2 * CHOICES_MAX or math.huge
    shard.closed = order.closed
    for _, line in ipairs(lines) do
      if line.warehouse ~= '' then
        named = named + 1
      elseif #asked == 0 then
        load_stock(shard, line.sku)
        if shard.fields > fields_max then
          if has_too_many(shard, lines) then return nil, nil end
          fields_max = math.huge
        end
      end
    end
    if named == #lines then
      if serves(shard, lines, nil, held) then return taken_from(nil, lines) end
      return source_split(shard, lines, {}, {}, held)
    end
    if #asked > 1 then asked = each_once(asked) end
    if #asked > 0 and #lines > 1 then
      if (#lines - named) * #asked > CHOICES_MAX then return nil, nil end
      read_asked(shard, lines, asked)
    end
    if named == 0 then
      local whole = source_whole(shard, lines, asked, order, held)
      if whole then return taken_from(whole, lines) end
    end
    return source_split(shard, lines, asked, order, held)
  end
end

-- The answer about an order that could not be sourced.
local function unsourced(id, shortages)
  if not shortages then return { 'TOO_MANY_CHOICES', id } end
  return { 'INSUFFICIENT_STOCK', id, shortages }
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

-- The default order of warehouses from ARGV[first] on, a list, and a list of those that are `closed`: nothing new is
-- promised there. Returns the order and the index after both, or nil.
local function read_order_of_warehouses(args, first)
  local order, after = read_list(args, first)
  local closed
  if order then closed, after = read_list(args, after) end
  if not closed then return nil end
  if #closed == 0 then return order, after end
  local codes = { closed = {} }
  for i, warehouse in ipairs(order) do codes[i] = warehouse end
  for _, warehouse in ipairs(closed) do codes.closed[warehouse] = true end
  return codes, after
end
