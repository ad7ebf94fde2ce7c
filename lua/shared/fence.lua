-- The fence of recovery: whoever lost the lease to a newer one (a higher number) is refused.

local function fenced(keys, args)
  local known = tonumber(redis.call('HGET', keys[1], 'fence') or '0')
  return not natural(args[1]) or natural(args[1]) < known
end

local function rebuilding(keys, args)
  return not fenced(keys, args) and redis.call('HGET', keys[1], 'state') == 'rebuilding'
end
