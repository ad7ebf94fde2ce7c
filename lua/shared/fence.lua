-- The fence of recovery: whoever lost the lease to a newer one (a higher number) is refused.

local function fenced(keys, args)
  local known = tonumber(redis.call('HGET', keys[1], 'fence') or '0')
  return not natural(args[1]) or natural(args[1]) < known
end

-- Whether a step may change this memory outside of the commands: no newer recovery is at it, and it was shut before, so
-- that what the step goes by stands still. The state shuts it for every library; a gate is this library's alone.
local function repairable(keys, args)
  return not fenced(keys, args) and redis.call('HGET', keys[1], 'state') ~= 'ready'
end

local function rebuilding(keys, args)
  return not fenced(keys, args) and redis.call('HGET', keys[1], 'state') == 'rebuilding'
end
