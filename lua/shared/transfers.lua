-- A transfer's record, the answers about it, and what its steps share.
--
-- {tag}transfer:<transfer_id>:
--   s status   v version   f fingerprint of the request   p position of the creation   a from   b to
--   n lines [[sku, quantity, shipped, received, damaged, lost, cancelled], …], one a SKU; an eighth item: units that
--     came back to the source
--   i shipped, because they arrived, before anybody said so: [[sku, units, when they arrived in ms], …]
-- The status follows from the lines: requested, partly_shipped (while some is still to ship), shipped (while
-- some is on the way), received, or cancelled if nothing ever shipped.

local TRANSFER_FIELDS = { 's', 'v', 'f', 'p', 'a', 'b', 'n', 'i' }

local function transfer_key(shard, transfer_id)
  return shard.tag .. 'transfer:' .. transfer_id
end

local function decode_transfer_lines(text)
  local lines = {}
  for i, line in ipairs(cjson.decode(text)) do
    lines[i] = {
      sku = line[1], quantity = line[2], shipped = line[3], received = line[4], damaged = line[5], lost = line[6],
      cancelled = line[7], returned = line[8] or 0,
    }
  end
  return lines
end

local function encode_transfer_lines(lines)
  local parts = {}
  for i, line in ipairs(lines) do
    parts[i] = table.concat({
      '["', line.sku, '",', line.quantity, ',', line.shipped, ',', line.received, ',', line.damaged, ',', line.lost,
      ',', line.cancelled, line.returned > 0 and (',' .. line.returned) or '', ']',
    })
  end
  return '[' .. table.concat(parts, ',') .. ']'
end

-- The transfer, or nil if no such transfer is remembered.
local function load_transfer(shard, transfer_id)
  local got = redis.call('HMGET', transfer_key(shard, transfer_id), unpack(TRANSFER_FIELDS))
  if not got[1] then return nil end
  local transfer = { id = transfer_id }
  for i, field in ipairs(TRANSFER_FIELDS) do transfer[field] = got[i] or nil end
  transfer.v = tonumber(transfer.v)
  return transfer
end

-- {outcome, transfer_id, position, status, from, to, lines}: every answer that shows a transfer.
local function transfer_answer(outcome, transfer, position)
  return { outcome, transfer.id, position, transfer.s, transfer.a, transfer.b, transfer.n }
end

local function unshipped(line)
  return line.quantity - line.shipped - line.cancelled
end

local function on_the_way(line)
  return line.shipped - line.received - line.damaged - line.lost - line.returned
end

local function sum_of(lines, units_of)
  local sum = 0
  for _, line in ipairs(lines) do sum = sum + units_of(line) end
  return sum
end

-- Units that left for good.
local function has_left(line)
  return line.shipped - line.returned
end

local function no_steps(line)
  line.shipped, line.received, line.damaged, line.lost, line.cancelled, line.returned = 0, 0, 0, 0, 0, 0
end

local function transfer_status(lines)
  local left = sum_of(lines, has_left)
  if sum_of(lines, unshipped) > 0 then return left > 0 and 'partly_shipped' or 'requested' end
  if sum_of(lines, on_the_way) > 0 then return 'shipped' end
  return left > 0 and 'received' or 'cancelled'
end

local function transfer_is_open(transfer)
  return transfer.s ~= 'received' and transfer.s ~= 'cancelled'
end

-- Returns shard, transfer, nil, or nil, nil, answer. Precedence: the gate's refusals, INVALID_ARGUMENT,
-- REPEATED, ID_REUSED, UNKNOWN_TRANSFER.
local function begin_transfer_step(keys, args, valid)
  local shard, transfer, answer, op = begin_step_of(keys, args, valid, load_transfer, 'UNKNOWN_TRANSFER')
  if not op then return shard, transfer, answer end
  answer = transfer_answer('REPEATED', transfer, op.position)
  answer[4], answer[7] = string.match(op.answer, '^%["([^"]*)",(.*)%]$')
  answer[8] = transfer.s
  return nil, nil, answer
end

-- Of a shipment or receipt that events of the inbox told of: the lines they did not, or an answer.
local function untold_of_transfer(shard, transfer, warehouse, op, wanted)
  if not wanted then
    local open = sum_of(decode_transfer_lines(transfer.n), unshipped) > 0
    return nil, not open and transfer_answer('UNCHANGED', transfer, shard.last) or nil
  end
  local untold = untold_lines(shard, op, wanted, function() return { warehouse } end)
  if not untold then return nil, { 'ID_REUSED', transfer.id } end
  return untold, #untold == 0 and transfer_answer('UNCHANGED', transfer, shard.last) or nil
end

-- The record's part of an event: what changed.
local function transfer_document(transfer_id, changes)
  return '["transfer","' .. transfer_id .. '",' .. encode_changes(changes, TRANSFER_FIELDS) .. ']'
end

local function write_transfer(shard, transfer, changes)
  local set = {}
  for field, value in pairs(changes) do
    set[#set + 1] = field
    set[#set + 1] = value
    transfer[field] = value
  end
  redis.call('HSET', transfer_key(shard, transfer.id), unpack(set))
end

-- Commits a step: the event, the counts, the record, the op. Returns the answer.
local function end_transfer_step(shard, transfer, outcome, event, lines)
  if not counts_fit(shard) then return { 'QUANTITY_TOO_LARGE', transfer.id } end
  local changes = { s = transfer_status(lines), v = transfer.v + 1, n = encode_transfer_lines(lines) }
  event.document = transfer_document(transfer.id, changes)
  local position = commit(shard, event)
  if not position then return { 'NOT_READY', transfer.id } end
  write_transfer(shard, transfer, changes)
  write_op(shard, event, position, '["' .. transfer.s .. '",' .. transfer.n .. ']')
  return transfer_answer(outcome, transfer, position)
end

-- What is asked, summed per SKU in order of first appearance: `names` are the units' fields beside `quantity`.
local function sum_by_sku(wanted, names)
  local sums, index = {}, {}
  for _, want in ipairs(wanted) do
    local sum = index[want.sku]
    if not sum then
      sum = { sku = want.sku, quantity = 0 }
      for _, name in ipairs(names) do sum[name] = 0 end
      index[want.sku] = sum
      sums[#sums + 1] = sum
    end
    sum.quantity = sum.quantity + want.quantity
    for _, name in ipairs(names) do sum[name] = sum[name] + want[name] end
  end
  return sums, index
end

-- {sku -> what is asked of its line}, or nil and QUANTITY_EXCEEDS_TRANSFER with every SKU that asks for more
-- than `left_of` its line.
local function take_units(transfer, lines, wanted, left_of, names)
  local sums, index = sum_by_sku(wanted, names)
  local left, exceeding = {}, {}
  for _, line in ipairs(lines) do left[line.sku] = left_of(line) end
  for _, sum in ipairs(sums) do
    if sum.quantity > (left[sum.sku] or 0) then
      exceeding[#exceeding + 1] = exceeding_line({ sku = sum.sku, warehouse = '' }, sum.quantity, left[sum.sku] or 0)
    end
  end
  if #exceeding == 0 then return index end
  local answer = transfer_answer('QUANTITY_EXCEEDS_TRANSFER', transfer, '')
  answer[8] = '[' .. table.concat(exceeding, ',') .. ']'
  return nil, answer
end
