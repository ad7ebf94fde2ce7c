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
  if #text > LARGE_TEXT then collect_later() end
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
    parts[i] = '["' .. line.sku .. '",' .. text_of(line.quantity) .. ',' .. text_of(line.shipped) .. ','
      .. text_of(line.received) .. ',' .. text_of(line.damaged) .. ',' .. text_of(line.lost) .. ',' .. text_of(line.cancelled)
      .. (line.returned > 0 and (',' .. text_of(line.returned)) or '') .. ']'
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

-- A transfer whose shipments or receipts are being booked. Units that arrived before anybody said that they had left were
-- noted as having left then; `implied` has them: [[sku, units, when they arrived in ms], …], and `implied_of` by SKU.

local carriage_of, carried, ship_carried, ship_only_carried, receive_carried, receive_only_carried, changes_of_carriage

do
  local function imply(carriage, one)
    local sku, implied_of = one[1], carriage.implied_of
    implied_of[sku] = implied_of[sku] or {}
    table.insert(implied_of[sku], one)
  end

  carriage_of = function(transfer)
    local carriage = {
      transfer = transfer, lines = decode_transfer_lines(transfer.n), of = {}, implied_of = {},
      implied = transfer.i and cjson.decode(transfer.i) or {},
    }
    for _, line in ipairs(carriage.lines) do carriage.of[line.sku] = line end
    for _, one in ipairs(carriage.implied) do imply(carriage, one) end
    return carriage
  end

  carried = function(carriage, sku)
    return carriage.of[sku]
  end

  -- That they had left was noted when they arrived; now it is known when: what was counted in between must stand.
  local function take_implied(shard, carriage, stock, left, at)
    local warehouse = carriage.transfer.a
    for _, one in ipairs(carriage.implied_of[stock.sku] or {}) do
      local units = math.min(left, one[2])
      if units > 0 and at and at < one[3] then
        fact_move(shard, stock, warehouse, 'a', 'j', units, nil, nil, at)
        local reason = '"left before",null,null,' .. string.format('%d', one[3])
        fact_move(shard, stock, warehouse, 'j', 'a', units, reason, nil, one[3])
      end
      left = left - units
      carriage.noted = carriage.noted or units > 0
      one[2] = one[2] - units
    end
    return left
  end

  local function leave(shard, carriage, line, stock, units, at)
    if units <= 0 then return end
    fact_move(shard, stock, carriage.transfer.a, 'l', 't', units, nil, carriage.transfer.b, at)
    line.shipped = line.shipped + units
  end

  -- Returns the units that were beyond the transfer.
  local function leave_all(shard, carriage, sums, line, stock, units, at, reason)
    local left = take_implied(shard, carriage, stock, units, at)
    local own = math.min(left, unshipped(line))
    leave(shard, carriage, line, stock, own, at)
    left = left - own
    if left > 0 then fact_move(shard, stock, carriage.transfer.a, 'a', 'j', left, reason, nil, at) end
    sums.beyond = sums.beyond + left
    return left
  end

  -- Units that did not leave after all.
  local function leave_less(shard, carriage, sums, line, stock, units, at)
    local free = math.min(units, sums.beyond)
    local own = math.min(units - free, on_the_way(line))
    free = units - own
    if free > 0 then fact_move(shard, stock, carriage.transfer.a, 'j', 'a', free, '"shipped less"', nil, at) end
    if own > 0 then
      fact_move(shard, stock, carriage.transfer.b, 't', 'l', own, '"shipped less"', carriage.transfer.a, at)
    end
    sums.beyond, line.shipped = math.max(0, sums.beyond - free), line.shipped - own
  end

  -- Books what a SKU's claims come to; returns the units beyond the transfer, and whether anything changed. `said`: units said now.
  ship_carried = function(shard, carriage, sums, line, stock, said, at, reason)
    local beyond, own = 0, { 0, 0, 0 }
    local changes = rebook(sums, shipments_to_book(sums.claims, sums.lead, line.quantity - line.cancelled))
    for _, change in ipairs(changes) do
      local units = change.units[1]
      own = change.units
      if units > 0 then beyond = leave_all(shard, carriage, sums, line, stock, units, at, reason)
      else leave_less(shard, carriage, sums, line, stock, -units, at) end
      carriage.changed = true
    end
    note_times(shard, stock, sums, '', carriage.transfer.a, { said, 0, 0 }, own, at, true)
    return beyond, #changes > 0
  end

  -- The same of units that the transfer has left, of a SKU of which nobody but the routes has said anything.
  ship_only_carried = function(shard, carriage, family, line, stock, document, units, at)
    leave(shard, carriage, line, stock, units, at)
    ship_only_claim(family, line.sku, document, carriage.transfer.a, units, not at and shard.now or nil)
  end

  local ARRIVED = { { 'received', 'a' }, { 'damaged', 'd' }, { 'lost', 'j' } }

  -- Units that turned out to be in another condition.
  local function regrade(shard, carriage, line, stock, change, at, reason)
    for from = 1, 3 do
      for to = 1, 3 do
        local some = change[from] < 0 and change[to] > 0 and math.min(-change[from], change[to]) or 0
        if some > 0 then
          local old, new = ARRIVED[from], ARRIVED[to]
          fact_move(shard, stock, carriage.transfer.b, old[2], new[2], some, reason, nil, at)
          local its = math.min(some, line[old[1]])
          line[old[1]], line[new[1]] = line[old[1]] - its, line[new[1]] + its
          change[from], change[to] = change[from] + some, change[to] - some
        end
      end
    end
  end

  -- Returns the units beyond what was on the way: of those none can be lost.
  local function arrive_all(shard, carriage, line, stock, change, at, reason)
    local total, beyond = 0, 0
    for state = 1, 3 do total = total + math.max(0, change[state]) end
    local early = math.min(math.max(0, total - on_the_way(line)), unshipped(line))
    if early > 0 then
      leave(shard, carriage, line, stock, early, at)
      local one = { stock.sku, early, at or shard.now }
      table.insert(carriage.implied, one)
      imply(carriage, one)
      carriage.noted = true
    end
    local covered = math.min(total, on_the_way(line))
    for state = 1, 3 do
      local units, way = change[state], ARRIVED[state]
      if way[2] == 'j' then reason = reason or '"lost in transfer"' end
      if units > 0 then
        local its = math.min(units, covered)
        line[way[1]], covered, beyond = line[way[1]] + its, covered - its, beyond + units - its
        if its > 0 then fact_move(shard, stock, carriage.transfer.b, 't', way[2], its, reason, nil, at) end
        if units > its and way[2] ~= 'j' then
          fact_move(shard, stock, carriage.transfer.b, 'j', way[2], units - its, reason, nil, at)
        end
      elseif units < 0 then
        local its = math.min(-units, line[way[1]])
        line[way[1]] = line[way[1]] - its
        if its > 0 then fact_move(shard, stock, carriage.transfer.b, way[2], 't', its, reason, nil, at) end
        if -units > its and way[2] ~= 'j' then
          fact_move(shard, stock, carriage.transfer.b, way[2], 'j', -units - its, reason, nil, at)
        end
      end
    end
    return beyond
  end

  -- Books what a SKU's claims come to; returns the units beyond the transfer, and whether anything changed. `said` of `document` now.
  receive_carried = function(shard, carriage, sums, line, stock, document, said, at, reason)
    local warehouse, own, beyond = carriage.transfer.b, { 0, 0, 0 }, 0
    local changes = rebook(sums, arrivals_to_book(sums.claims, sums.lead))
    for _, change in ipairs(changes) do
      local units = { change.units[1], change.units[2], change.units[3] }
      regrade(shard, carriage, line, stock, units, at, reason)
      beyond = beyond + arrive_all(shard, carriage, line, stock, units, at, reason)
      carriage.changed = true
      if change.document == document then own = change.units
      else note_times(shard, stock, sums, change.document, warehouse, { 0, 0, 0 }, change.units, at) end
    end
    note_times(shard, stock, sums, document, warehouse, said, own, at)
    return beyond, #changes > 0
  end

  -- The same of units that are on the way, of a SKU of which nobody has said anything.
  receive_only_carried = function(shard, carriage, family, line, stock, document, said, at)
    local warehouse, assumed = carriage.transfer.b, ''
    arrive_all(shard, carriage, line, stock, said, at)
    for state = 1, at and 0 or 3 do
      if said[state] > 0 then
        assumed = assumed .. (assumed ~= '' and ',' or '') .. '["' .. document .. '","' .. warehouse .. '",' .. state .. ','
          .. text_of(said[state]) .. ',' .. text_of(shard.now) .. ']'
      end
    end
    local units = text_of(said[1]) .. ',' .. text_of(said[2]) .. ',' .. text_of(said[3])
    new_claim(family, line.sku, document, warehouse, units, assumed, document)
  end

  local function encode_implied(implied)
    local parts = {}
    for _, one in ipairs(implied) do
      if one[2] > 0 then parts[#parts + 1] = '["' .. one[1] .. '",' .. text_of(one[2]) .. ',' .. text_of(one[3]) .. ']' end
    end
    return '[' .. table.concat(parts, ',') .. ']'
  end

  -- How the transfer's record changes.
  changes_of_carriage = function(carriage)
    local changes = {
      s = transfer_status(carriage.lines), v = carriage.transfer.v + 1, n = encode_transfer_lines(carriage.lines),
    }
    if carriage.noted then changes.i = encode_implied(carriage.implied) end
    return changes
  end
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
local function end_transfer_step(shard, carriage, outcome, event)
  local transfer = carriage.transfer
  if not counts_fit(shard) then return { 'QUANTITY_TOO_LARGE', transfer.id } end
  local changes = changes_of_carriage(carriage)
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

-- Of a route's step on a transfer: the document that it reports, in its family.
local function reported_document(op)
  return string.match(op, '^[^{]*{(.*)$') or ''
end

-- The answer to a step that a route reported before its op was forgotten; nil if none did. `asked`: {sku -> units}, nil for all.
local function carried_before(shard, transfer, family, document, asked)
  local known, same = false, true
  for _, sku in ipairs(family.known) do
    local units, any = said_by_route(family, sku, document)
    local wanted = asked and asked[sku] or { 0, 0, 0 }
    known = known or any
    for state = 1, 3 do same = same and (not asked or units[state] == wanted[state]) end
  end
  if not known then return nil end
  return same and transfer_answer('UNCHANGED', transfer, shard.last) or { 'ID_REUSED', transfer.id }
end
