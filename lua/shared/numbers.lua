-- Integers. `tonumber` takes "nan", "0x10" and "1e3", and a NaN compared with stock sells for ever:
-- so every number from a caller passes here. Counts stay below COUNT_MAX, which Lua prints exactly.

local COUNT_MAX = 10000000000000

-- Those met before are looked up: few quantities and times are ever asked for.
local NATURALS_MAX = 4096
local naturals, naturals_met = {}, 0

-- text -> integer from 0, or nil. At most 10 digits.
local function natural(text)
  local number = naturals[text]
  if number then return number end
  if type(text) ~= 'string' or #text > 10 or not string.find(text, '^%d+$') then return nil end
  if naturals_met == NATURALS_MAX then naturals, naturals_met = {}, 0 end
  number = tonumber(text)
  naturals[text], naturals_met = number, naturals_met + 1
  return number
end

-- text -> ms since 1970, or nil. At most 14 digits, which Lua prints exactly.
local function moment(text)
  if type(text) == 'string' and #text <= 14 and string.find(text, '^%d+$') then
    return tonumber(text)
  end
  return nil
end

-- An integer as text. Turning a number into text is what an event spends most of its time on: small ones are kept,
-- and the last large one, which the event says and the record too.
local TEXTS_MAX = 4096
local TEXTS = {}
local last, last_text

local function text_of(n)
  local text = TEXTS[n]
  if text then return text end
  if n == last then return last_text end
  text = string.format('%d', n)
  if n >= 0 and n < TEXTS_MAX then TEXTS[n] = text else last, last_text = n, text end
  return text
end

-- Byte order, which for UTF-8 is code point order. Lua's own `<` follows the server's locale.
local function before(left, right)
  for i = 1, #left, 4 do -- codes of warehouses often begin alike
    local l1, l2, l3, l4 = string.byte(left, i, i + 3)
    local r1, r2, r3, r4 = string.byte(right, i, i + 3)
    if l1 ~= r1 then return l1 < (r1 or -1) end
    if l2 ~= r2 then return (l2 or -1) < (r2 or -1) end
    if l3 ~= r3 then return (l3 or -1) < (r3 or -1) end
    if l4 ~= r4 then return (l4 or -1) < (r4 or -1) end
  end
  return #left < #right
end
