-- wrk: POST locks, each with an id never used before, then print the figures as one line of JSON.
-- Called as: wrk … -s lock.lua URL -- FILE PREFIX; FILE has before NUL after NUL of each request in turn.

local before, after, prefix, at, number = {}, {}, '', 0, 0

function init(arguments)
  local file = io.open(arguments[1], 'rb')
  local parts = {}
  for part in string.gmatch(file:read('*a'), '([^%z]*)%z') do parts[#parts + 1] = part end
  file:close()
  for i = 1, #parts, 2 do
    before[#before + 1] = parts[i]
    after[#after + 1] = parts[i + 1]
  end
  prefix = arguments[2]
end

function request()
  at = at % #before + 1
  number = number + 1
  return before[at] .. prefix .. string.format('%012d', number) .. after[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"micros":%d,"refused":%d,"broken":%d,"p50":%d,"p90":%d,"p99":%d,"max":%d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
