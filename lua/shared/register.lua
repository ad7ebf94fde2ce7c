-- Every function's name ends in SUFFIX, a hash of the whole library: old and new code run side by side.

local function register(name, callback, flags)
  redis.register_function({ function_name = name .. SUFFIX, callback = callback, flags = flags })
end
