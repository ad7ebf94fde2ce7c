-- compensate: says what a SKU has in every warehouse and state. The ledger, which could not book some of its moves,
-- drops those and books the difference in this event.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 op  4 fingerprint  5 reason as JSON  6 sku  7 the version that the ledger has got to
--       8… warehouses where the ledger has the SKU; a record that was made anew may lack one, and has nothing there
-- Event compensate, moves that carry no units: one a warehouse and state.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT, REPEATED,
--   UNKNOWN_SKU, COMPENSATED: {outcome, op, position}.

local function compensate(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local op, sku, version = args[3], args[6], natural(args[7])
  if not version then return { 'INVALID_ARGUMENT', op or '' } end
  local known = load_op(shard, op)
  if known then return { 'REPEATED', op, known.position } end
  local stock, warehouses = load_stock(shard, sku), {}
  for field in pairs(stock.counts) do warehouses[#warehouses + 1] = known_in(field) end
  if #warehouses == 0 then return { 'UNKNOWN_SKU', op, '[]' } end
  for i = 8, #args do
    if not stock.counts[fields_of(args[i]).a] then warehouses[#warehouses + 1] = args[i] end
  end
  table.sort(warehouses, before)
  stock.version = math.max(stock.version, version)
  for _, warehouse in ipairs(warehouses) do
    for _, state in ipairs({ 'a', 'l', 'd', 't' }) do move(shard, stock, warehouse, state, state, 0) end
  end
  local event = { kind = 'compensate', op = op, fingerprint = args[4], reason = args[5] }
  local position = commit(shard, event)
  if not position then return { 'NOT_READY', op } end
  write_op(shard, event, position)
  return { 'COMPENSATED', op, position }
end

register('compensate', compensate, { 'allow-oom' })
