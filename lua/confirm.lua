-- confirm: the order is paid; its lock no longer expires.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id  4 op  5 fingerprint
--       6… the default order of warehouses (a count, then codes)  … closed ones (a count, then codes)
-- Event confirm; moves available -> locked when an expired lock takes its stock again.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   REPEATED, ID_REUSED, UNKNOWN_LOCK, UNCHANGED (it is confirmed, or partly or wholly shipped),
--   LOCK_EXPIRED with the shortages (its stock is gone), LOCK_NOT_HELD (released),
--   BACKLOG_FULL (expired, and no room for what it would promise again), TOO_MANY_CHOICES (to source it again), CONFIRMED.

local function retake(shard, lock, order, event)
  local sourced, shortages = source_again(shard, lock, order)
  if not sourced and not shortages then
    return backlog_is_full(shard) and { 'BACKLOG_FULL', lock.id } or unsourced(lock.id)
  end
  if not sourced then
    local answer = illegal(shard, lock)
    answer[8] = shortages
    return answer
  end
  if backlog_is_full(shard) then return { 'BACKLOG_FULL', lock.id } end
  take_stock(shard, sourced)
  return end_step(shard, lock, 'CONFIRMED', event, { s = 'confirmed', x = false, n = encode_lines(sourced) })
end

local function confirm(keys, args)
  local order = read_order_of_warehouses(args, 6)
  local shard, lock, answer = begin_step(keys, args, order)
  if answer then return answer end
  if lock.s == 'confirmed' or lock.s == 'partly_deducted' or lock.s == 'deducted' then
    return lock_answer('UNCHANGED', lock, shard.last)
  end
  if lock.s == 'released' then return illegal(shard, lock) end
  local event = { kind = 'confirm', op = args[4], fingerprint = args[5] }
  if lock.s == 'expired' then return retake(shard, lock, order, event) end
  return end_step(shard, lock, 'CONFIRMED', event, { s = 'confirmed', x = false })
end

register('confirm', confirm, { 'allow-oom' })
