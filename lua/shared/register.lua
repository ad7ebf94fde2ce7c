-- Every function's name ends in SUFFIX, a hash of the whole library: old and new code run side by side.

-- A call about thousands of lines makes garbage by the megabyte, and would spend a fifth of its time on looking through it
-- again and again: so that waits until it ends, and is done bit by bit in the calls after it. After an error the next call
-- ends the wait.
local collects = true

local function collect_later()
  if collects then collectgarbage('stop') end
  collects = false
end

local LARGE_ARGS = 600 -- 200 lines
local LARGE_TEXT = 10000 -- characters of a record: some 200 lines

local function register(name, callback, flags)
  redis.register_function({
    function_name = name .. SUFFIX,
    callback = function(keys, args)
      if #args > LARGE_ARGS then collect_later() end
      local answer = callback(keys, args)
      if not collects then
        collectgarbage('restart')
        collects = true
      end
      return answer
    end,
    flags = flags,
  })
end
