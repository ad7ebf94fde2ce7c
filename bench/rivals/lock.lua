-- Rival (d): a lock as one writes it first, kept short. All lines or none, idempotent, with an outbox.
-- KEYS  1 the lock  2 the outbox  3… stock of each line
-- ARGV  1 lock_id  2 fingerprint  3 expires_at in ms  4 the request as JSON  5… quantity of each line
-- Returns {'repeated' | 'reused' | 'locked'} or {'short', the lines' numbers}.
local known = redis.call('HGET', KEYS[1], 'fingerprint')
if known then return { known == ARGV[2] and 'repeated' or 'reused' } end
local short = {}
for i = 3, #KEYS do
  if tonumber(redis.call('HGET', KEYS[i], 'available') or '0') < tonumber(ARGV[i + 2]) then short[#short + 1] = i - 2 end
end
if #short > 0 then return { 'short', short } end
for i = 3, #KEYS do
  redis.call('HINCRBY', KEYS[i], 'available', -ARGV[i + 2])
  redis.call('HINCRBY', KEYS[i], 'locked', ARGV[i + 2])
end
redis.call('HSET', KEYS[1], 'fingerprint', ARGV[2], 'expires_at', ARGV[3], 'request', ARGV[4], 'status', 'held')
redis.call('XADD', KEYS[2], '*', 'kind', 'lock', 'lock_id', ARGV[1], 'request', ARGV[4])
return { 'locked' }
