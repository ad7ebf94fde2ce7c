-- Every function's name ends in SUFFIX, a hash of the whole library: old and new code run side by side.

-- A call about thousands of lines makes garbage by the megabyte, and would spend a tenth of its time on collecting it: that
-- waits until the call has ended, and is done bit by bit in those after it. Where such calls follow each other it waits no
-- longer than there is GARBAGE_KB_MAX. After an error the next call ends the wait.
local LARGE_ARGS = 600 -- 200 lines
local LARGE_TEXT = 10000 -- characters of a record: some 200 lines
local GARBAGE_KB_MAX = 32000 -- with all that is no garbage
local collects = true

local function collect_later()
  if not collects or collectgarbage('count') > GARBAGE_KB_MAX then return end
  collectgarbage('stop')
  collects = false
end

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
