-- adjust: a correction with its reason; a physical fact, so available may go below zero.
-- KEYS  1 meta
-- ARGV, answers and their precedence: `book` in shared/booking.lua; the last one is ADJUSTED.
--   After the lines: `1` if what is written off must be on hand (may be left out).
-- Event adjust, moves adjustment <-> available, adjustment <-> damaged, available <-> damaged.

local function adjust(keys, args)
  local count = natural(args[8])
  return book(keys, args, 'adjust', 'ADJUSTED', nil, nil, count and args[9 + 5 * count] == '1')
end

register('adjust', adjust, { 'allow-oom' })
