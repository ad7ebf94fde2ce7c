-- replace: other lines for a lock that has not shipped, in one atomic swap; its expiry is kept.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id  4 op  5 fingerprint
--       6… ranked warehouses (a count, then codes)  … the default order (a count, then codes)
--       … lines (a count, then sku, quantity, warehouse or '')
-- Event replace, moves locked -> available for what shrinks, then available -> locked for what grows.
-- What the lock holds already stays promised to it, even where stock is short by now.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   REPEATED, ID_REUSED, UNKNOWN_LOCK, LOCK_EXPIRED, LOCK_NOT_HELD, BACKLOG_FULL (it would grow), TOO_MANY_CHOICES,
--   INSUFFICIENT_STOCK, REPLACED.

-- {sku -> {warehouse -> quantity}}
local function quantities_of(lines)
  local sums = {}
  for _, line in ipairs(lines) do
    sums[line.sku] = sums[line.sku] or {}
    sums[line.sku][line.warehouse] = line.quantity
  end
  return sums
end

-- Stages the moves; true if anything is promised that was not before.
local function swap(shard, old_lines, new_lines)
  local old, new, grows = quantities_of(old_lines), quantities_of(new_lines), false
  for _, line in ipairs(old_lines) do
    local wanted = new[line.sku] and new[line.sku][line.warehouse] or 0
    if wanted < line.quantity then
      move(shard, load_stock(shard, line.sku, line.warehouse), line.warehouse, 'l', 'a', line.quantity - wanted)
    end
  end
  for _, line in ipairs(new_lines) do
    local had = old[line.sku] and old[line.sku][line.warehouse] or 0
    if line.quantity > had then
      move(shard, load_stock(shard, line.sku, line.warehouse), line.warehouse, 'a', 'l', line.quantity - had)
      grows = true
    end
  end
  return grows
end

local function replace(keys, args)
  local asked, after_asked = read_list(args, 6)
  local order, first = read_list(args, after_asked or #args + 1)
  local lines = order and read_lines(args, first)
  lines = lines and merge_lines(lines)
  local shard, lock, answer = begin_step(keys, args, lines and #lines > 0)
  if answer then return answer end
  if lock.s ~= 'held' and lock.s ~= 'confirmed' then return illegal(shard, lock) end
  local old_lines = decode_lines(lock.n)
  local sourced, shortages = source_lines(shard, lines, asked, order, quantities_of(old_lines))
  local grows = not sourced or swap(shard, old_lines, sourced)
  if grows and backlog_is_full(shard) then return { 'BACKLOG_FULL', lock.id } end
  if not sourced then return unsourced(lock.id, shortages) end
  local request = encode_request(lines, asked)
  local changes = { n = encode_lines(sourced), q = request or gone(lock.q) }
  return end_step(shard, lock, 'REPLACED', { kind = 'replace', op = args[4], fingerprint = args[5] }, changes)
end

register('replace', replace, {})
