-- Documents that events of the inbox told of, a SKU at a time: the same document by a route counts once.
--
-- {tag}op:<op of the document>: "events <position>"; {tag}op:<op of the document>{<sku>{<warehouse>:
-- "<fingerprint> <position> <units>"

local TOLD = 'events'

-- The fingerprint of a shipment that never left: {tag}op:<op of the shipment>: "void <position of the voiding> ".
local VOID = 'void'

local function told_op(op, sku, warehouse)
  return table.concat({ op, '{', sku, '{', warehouse })
end

-- Units of a SKU that an event told of under a document, or nil.
local function told_units(shard, op, sku, warehouse)
  local known = load_op(shard, told_op(op, sku, warehouse))
  return known and tonumber(known.answer)
end

-- Those of a route's lines that no event told of. nil if an event told of other units of the same SKU.
-- `warehouses_of`: the warehouses in which an event may have told of a line.
local function untold_lines(shard, op, lines, warehouses_of)
  local told, asked, untold = {}, {}, {}
  for _, line in ipairs(lines) do
    if not asked[line.sku] then
      for _, warehouse in ipairs(warehouses_of(line)) do
        local units = told_units(shard, op, line.sku, warehouse)
        if units then told[line.sku] = (told[line.sku] or 0) + units end
      end
    end
    asked[line.sku] = (asked[line.sku] or 0) + line.quantity
    if not told[line.sku] then untold[#untold + 1] = line end
  end
  for sku, units in pairs(told) do
    if units ~= asked[sku] then return nil end
  end
  return untold
end
