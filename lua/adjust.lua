-- adjust: a correction with its reason; a physical fact, so available may go below zero.
-- KEYS  1 meta
-- ARGV, answers and their precedence: `book` in shared/booking.lua; the last one is ADJUSTED.
-- Event adjust, moves adjustment <-> available, adjustment <-> damaged, available <-> damaged.

local function adjust(keys, args)
  return book(keys, args, 'adjust', 'ADJUSTED')
end

register('adjust', adjust, { 'allow-oom' })
