-- count: the difference between what was counted and what was there; it stands, whatever earlier events arrive later.
-- KEYS  1 meta
-- ARGV, answers and their precedence: `book` in shared/booking.lua; the last one is ADJUSTED.
--   After the lines: the position up to which the difference knows what happened ('' for all of it). A booking of
--   damaged units, be it of none, says that those were counted too.
-- Event count, moves adjustment <-> available, adjustment <-> damaged; what is there as it was counted leaves no move, and is
-- named in the event's document. MOVED_SINCE: count again.

local function count_stock(keys, args)
  local count = natural(args[8])
  return book(keys, args, 'count', 'ADJUSTED', nil, count and args[9 + 5 * count] or '')
end

register('count', count_stock, { 'allow-oom' })
