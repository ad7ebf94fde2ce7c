-- may: which commands the caller's user may run. Nothing is tried, so no refusal is counted or logged by the server.
-- Commands with keys are not asked about: without their keys some servers crash.
-- KEYS  1 meta
-- ARGV  none
-- Event none: it changes no count.
-- Returns {READ, '', then each command that the caller may not run, such as config|get}.

local ASKED = {
  { 'acl', 'dryrun' }, { 'client', 'caching' }, { 'client', 'tracking' }, { 'config', 'get' }, { 'function', 'list' },
  { 'function', 'load' },
}

local function may()
  local answer = { 'READ', '' }
  for _, command in ipairs(redis.acl_check_cmd and ASKED or {}) do
    if not redis.acl_check_cmd(command[1], command[2]) then answer[#answer + 1] = table.concat(command, '|') end
  end
  return answer
end

register('may', may, { 'no-writes' })
