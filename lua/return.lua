-- return: a customer's goods came back; of a lock's shipments, never more than those brought of a SKU.
-- KEYS  1 meta
-- ARGV, answers and their precedence: `book` in shared/booking.lua; the last one is RETURNED.
--   After the lines: the id of the lock they came from, if it is known.
-- Event return, moves customer -> available, customer -> damaged; with a lock, its record notes what came back.

local function return_goods(keys, args)
  local count = natural(args[8])
  return book(keys, args, 'return', 'RETURNED', count and args[9 + 5 * count])
end

register('return', return_goods, { 'allow-oom' })
