-- return: a customer's goods came back.
-- KEYS  1 meta
-- ARGV, answers and their precedence: `book` in shared/booking.lua; the last one is RETURNED.
-- Event return, moves customer -> available, customer -> damaged.

local function return_goods(keys, args)
  return book(keys, args, 'return', 'RETURNED')
end

register('return', return_goods, { 'allow-oom' })
