-- receive: goods of a purchase order came in, good and damaged ones.
-- KEYS  1 meta
-- ARGV, answers and their precedence: `book` in shared/booking.lua; the last one is RECEIVED.
-- Event receive, moves supplier -> available, supplier -> damaged.

local function receive(keys, args)
  return book(keys, args, 'receive', 'RECEIVED')
end

register('receive', receive, { 'allow-oom' })
