-- wrk: GET the paths of a file in turn, then print the figures as one line of JSON.
-- Called as: wrk … -s read.lua URL -- FILE

local requests, at = {}, 0

function init(arguments)
  for path in io.lines(arguments[1]) do requests[#requests + 1] = wrk.format('GET', path) end
  at = math.random(#requests)
  if #requests == 1 then return end -- wrk then sends the one URL without asking for it each time
  request = function()
    at = at % #requests + 1
    return requests[at]
  end
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"micros":%d,"refused":%d,"broken":%d,"p50":%d,"p90":%d,"p99":%d,"max":%d}\n',
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max))
end
