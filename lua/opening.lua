-- opening: sets on_hand, and the buffer where one is given, absolutely; a rerun changes nothing.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 a count, then sku, warehouse, on_hand, buffer ('' to leave it); then, if anything is expected,
--   what each row expects to find on hand: a number, 'new' (the SKU is not known there) or '' (whatever it is)
-- Event opening, moves adjustment <-> available for the difference; zero units make the SKU known there,
-- or note a new buffer.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   UNCHANGED, QUANTITY_TOO_LARGE, OPENED: {outcome, '', position, rows changed, rows left out as [0, …]}. A row is
--   left out if what it sets is not there yet, and what it expects is not there either.

local function open_row(shard, sku, warehouse, on_hand, buffer)
  local stock = load_stock(shard, sku, warehouse)
  local fields = fields_of(warehouse)
  local known = stock.counts[fields.a] ~= nil
  local difference = on_hand - count_of(stock, warehouse, 'a') - count_of(stock, warehouse, 'l')
  local buffer_changes = buffer ~= nil and buffer ~= count_of(stock, warehouse, 'b')
  if buffer_changes then
    touch(stock, fields, 'b')
    stock.counts[fields.b] = buffer
  end
  if difference > 0 or (difference == 0 and not known) then
    move(shard, stock, warehouse, 'j', 'a', difference, '"opening"')
  elseif difference < 0 then
    move(shard, stock, warehouse, 'a', 'j', -difference, '"opening"')
  elseif buffer_changes then
    move(shard, stock, warehouse, 'b', 'b', 0)
  end
end

-- Whether a row may be set: it is so already, or what is there is what it expects.
local function finds_expected(shard, sku, warehouse, on_hand, expected)
  if expected == nil or expected == '' then return true end
  local stock = load_stock(shard, sku, warehouse)
  if stock.counts[fields_of(warehouse).a] == nil then return expected == 'new' end
  local found = count_of(stock, warehouse, 'a') + count_of(stock, warehouse, 'l')
  return found == on_hand or text_of(found) == expected
end

local function opening(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local count = natural(args[3])
  if not count or #args < 3 + 4 * count then return { 'INVALID_ARGUMENT', '' } end
  local left_out = {}
  for i = 0, count - 1 do
    local on_hand, buffer = natural(args[6 + 4 * i]), natural(args[7 + 4 * i])
    if not on_hand or (args[7 + 4 * i] ~= '' and not buffer) then return { 'INVALID_ARGUMENT', '' } end
    if finds_expected(shard, args[4 + 4 * i], args[5 + 4 * i], on_hand, args[4 + 4 * count + i]) then
      open_row(shard, args[4 + 4 * i], args[5 + 4 * i], on_hand, buffer)
    else
      left_out[#left_out + 1] = text_of(i)
    end
  end
  local left = '[' .. table.concat(left_out, ',') .. ']'
  if #shard.moves == 0 then return { 'UNCHANGED', '', shard.last, '0', left } end
  if not counts_fit(shard) then return { 'QUANTITY_TOO_LARGE', '' } end
  local position = commit(shard, { kind = 'opening' })
  if not position then return { 'NOT_READY', '' } end
  return { 'OPENED', '', position, tostring(#shard.moves), left }
end

register('opening', opening, { 'allow-oom' })
