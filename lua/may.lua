-- may: which commands the caller's user may run. Nothing is tried, so no refusal is counted or logged by the server.
-- KEYS  1 meta
-- ARGV  1… commands, such as config|get
-- Event none: it changes no count.
-- Returns {READ, '', then 1 or 0 for each command}; all of them where the server cannot say.

local function may(_, args)
  local answer = { 'READ', '' }
  for i, command in ipairs(args) do
    local words = {}
    for word in string.gmatch(command, '[^|]+') do words[#words + 1] = word end
    local is_known, is_allowed = true, true
    if redis.acl_check_cmd then is_known, is_allowed = pcall(redis.acl_check_cmd, unpack(words)) end
    answer[2 + i] = (is_known and is_allowed) and '1' or '0'
  end
  return answer
end

register('may', may, { 'no-writes' })
