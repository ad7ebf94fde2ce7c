-- buffer: the safety stock withheld from sale in one warehouse, set absolutely; a rerun changes nothing.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 warehouse  4 a count, then sku, buffer
-- Event buffer, moves of zero units that note each new buffer: the SKU's version rises.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   UNKNOWN_SKU (all of them), UNCHANGED, BUFFERED: {outcome, warehouse, position}.

-- sku and buffer of each line, or nil.
local function read_buffers(args)
  local count = natural(args[4])
  if not count or count == 0 or #args < 4 + 2 * count then return nil end
  local lines = {}
  for i = 1, count do
    local units = natural(args[4 + 2 * i])
    if not units then return nil end
    lines[i] = { sku = args[3 + 2 * i], units = units }
  end
  return lines
end

local function unknown_skus(shard, warehouse, lines)
  local parts = {}
  for _, line in ipairs(lines) do
    if not load_stock(shard, line.sku, warehouse).known then
      parts[#parts + 1] = table.concat({
        '{"sku":"', line.sku, '","warehouse":"', warehouse, '","requested":', line.units,
        ',"sellable":0,"unknown":true}',
      })
    end
  end
  return #parts > 0 and ('[' .. table.concat(parts, ',') .. ']') or nil
end

local function buffer(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local warehouse, lines = args[3], read_buffers(args)
  if not lines then return { 'INVALID_ARGUMENT', warehouse or '' } end
  local unknown = unknown_skus(shard, warehouse, lines)
  if unknown then return { 'UNKNOWN_SKU', warehouse, unknown } end
  for _, line in ipairs(lines) do
    local stock = load_stock(shard, line.sku, warehouse)
    if count_of(stock, warehouse, 'b') ~= line.units then
      stock.counts[fields_of(warehouse).b] = line.units
      move(shard, stock, warehouse, 'b', 'b', 0)
    end
  end
  if #shard.moves == 0 then return { 'UNCHANGED', warehouse, shard.last } end
  local position = commit(shard, { kind = 'buffer' })
  if not position then return { 'NOT_READY', warehouse } end
  return { 'BUFFERED', warehouse, position }
end

register('buffer', buffer, { 'allow-oom' })
