-- reopen: an expired or released lock is held again under its id, with a new expiry; sourced anew, as it was asked for.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id  4 op  5 fingerprint  6 ttl in ms ('' for no expiry)
--       7… the default order of warehouses (a count, then codes)  … closed ones (a count, then codes)
-- Event reopen, moves available -> locked.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   REPEATED, ID_REUSED, UNKNOWN_LOCK, UNCHANGED (it is held), LOCK_NOT_HELD (it is paid, or some of it shipped, or
--   it was released before any request came, and what to hold is unknown), BACKLOG_FULL, TOO_MANY_CHOICES, INSUFFICIENT_STOCK (all shortages), REOPENED.

local function reopen(keys, args)
  local ttl, order = natural(args[6]), read_order_of_warehouses(args, 7)
  local shard, lock, answer = begin_step(keys, args, order and (ttl or args[6] == ''))
  if answer then return answer end
  if lock.s == 'held' then return lock_answer('UNCHANGED', lock, shard.last) end
  local ended = lock.s == 'expired' or lock.s == 'released'
  if not ended or lock.f == '' or any_deducted(decode_lines(lock.n)) then
    return lock_answer('LOCK_NOT_HELD', lock, shard.last)
  end
  if backlog_is_full(shard) then return { 'BACKLOG_FULL', lock.id } end
  local sourced, shortages = source_again(shard, lock, order)
  if not sourced then return unsourced(lock.id, shortages) end
  take_stock(shard, sourced)
  local changes = {
    s = 'held', x = ttl and (shard.now + ttl) or false, n = encode_lines(sourced), e = gone(lock.e),
    w = lock.s == 'released' and note_ending(shard, lock) or nil,
  }
  return end_step(shard, lock, 'REOPENED', { kind = 'reopen', op = args[4], fingerprint = args[5] }, changes)
end

register('reopen', reopen, {})
