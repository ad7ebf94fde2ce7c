-- may: which commands the caller's user may not run. Nothing is tried, so no refusal is counted or logged by the server.
-- KEYS  1 meta
-- ARGV  none
-- Event none: it changes no count.
-- Returns {READ, '', then each: of the functions' own as they are, of others such as config|get}.

-- Without their keys some commands crash some servers when they are asked about: of these none has any.
local ASKED = {
  { 'acl', 'dryrun' }, { 'client', 'caching' }, { 'client', 'tracking' }, { 'config', 'get' }, { 'function', 'list' },
  { 'function', 'load' },
}

local function may(keys)
  local answer = { 'READ', '' }
  if not redis.acl_check_cmd then return answer end
  for _, command in ipairs(INNER_COMMANDS) do
    if not redis.acl_check_cmd(command, keys[1]) then answer[#answer + 1] = command end
  end
  for _, command in ipairs(ASKED) do
    if not redis.acl_check_cmd(command[1], command[2]) then answer[#answer + 1] = table.concat(command, '|') end
  end
  return answer
end

register('may', may, { 'no-writes' })
