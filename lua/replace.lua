-- replace: other lines for a lock that has not shipped, in one atomic swap; its expiry is kept.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id  4 op  5 fingerprint
--       6… ranked warehouses (a count, then codes)  … the default order (a count, then codes)
--       … lines (a count, then sku, quantity, warehouse or '')
-- Event replace, moves locked -> available for what shrinks, then available -> locked for what grows.
-- What the lock holds already stays promised to it, even where stock is short by now.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, REPEATED, ID_REUSED,
--   UNKNOWN_LOCK, INVALID_ARGUMENT, LOCK_EXPIRED, LOCK_NOT_HELD, BACKLOG_FULL, INSUFFICIENT_STOCK, REPLACED.

-- {sku -> {warehouse -> quantity}}
local function quantities_of(lines)
  local sums = {}
  for _, line in ipairs(lines) do
    sums[line.sku] = sums[line.sku] or {}
    sums[line.sku][line.warehouse] = line.quantity
  end
  return sums
end

local function swap(shard, old_lines, new_lines)
  local old, new = quantities_of(old_lines), quantities_of(new_lines)
  for _, line in ipairs(old_lines) do
    local wanted = new[line.sku] and new[line.sku][line.warehouse] or 0
    if wanted < line.quantity then
      move(shard, load_stock(shard, line.sku), line.warehouse, 'l', 'a', line.quantity - wanted)
    end
  end
  for _, line in ipairs(new_lines) do
    local had = old[line.sku] and old[line.sku][line.warehouse] or 0
    if line.quantity > had then
      move(shard, load_stock(shard, line.sku), line.warehouse, 'a', 'l', line.quantity - had)
    end
  end
end

local function replace(keys, args)
  local shard, lock, answer = begin_step(keys, args)
  if answer then return answer end
  local asked, after_asked = read_list(args, 6)
  local order, first = read_list(args, after_asked or #args + 1)
  local lines = order and read_lines(args, first)
  if not lines or #lines == 0 then return { 'INVALID_ARGUMENT', lock.id } end
  if lock.s ~= 'held' and lock.s ~= 'confirmed' then return illegal(shard, lock) end
  if backlog_is_full(shard) then return { 'BACKLOG_FULL', lock.id } end
  local old_lines = decode_lines(lock.n)
  local sourced, shortages = source_lines(shard, lines, asked, order, quantities_of(old_lines))
  if not sourced then return { 'INSUFFICIENT_STOCK', lock.id, shortages } end
  swap(shard, old_lines, sourced)
  local request = encode_request(lines, asked)
  local changes = { n = encode_lines(sourced), q = request or gone(lock.q) }
  return end_step(shard, lock, 'REPLACED', { kind = 'replace', op = args[4], fingerprint = args[5] }, changes)
end

register('replace', replace, {})
