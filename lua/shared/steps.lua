-- What the steps of a lock share: how they begin (those of a transfer too), how they read their lines, how they end.

-- Whether one position comes behind another.
local function is_behind(position, other)
  local epoch, n = string.match(position, '^(%d+)-(%d+)$')
  local other_epoch, other_n = string.match(other, '^(%d+)-(%d+)$')
  if epoch ~= other_epoch then return tonumber(epoch) > tonumber(other_epoch) end
  return tonumber(n) > tonumber(other_n)
end

-- Whether an op was used on this very lock, not on an earlier one of the same id that was forgotten before it:
-- a shipment of the new lock must not pass for the old one's.
local function is_of(op, lock)
  return is_behind(op.position, lock.p)
end

-- How a step begins, of a lock or a transfer.
-- ARGV[3] its id, ARGV[4] op ('' for none), ARGV[5] fingerprint of the request.
-- `valid`: whether the arguments after them could be read. `load`: what finds the record; `unknown`: the answer if there is none.
-- Returns shard, record, nil and the op that a repeat repeats; or nil, nil, answer. Precedence: the gate's refusals,
-- INVALID_ARGUMENT, ID_REUSED, `unknown`.
local function begin_step_of(keys, args, valid, load, unknown)
  local shard, refusal = enter(keys, args)
  if refusal then return nil, nil, refusal end
  if not valid or not args[5] then return nil, nil, { 'INVALID_ARGUMENT', args[3] or '' } end
  local op = load_op(shard, args[4])
  local is_told = op and op.fingerprint == TOLD
  if op and op.fingerprint ~= args[5] and not is_told then return nil, nil, { 'ID_REUSED', args[3] } end
  local record = load(shard, args[3])
  if not record then return nil, nil, { unknown, args[3] } end
  if not op or not is_of(op, record) then return shard, record, nil, nil end
  shard.told = is_told -- by events of the inbox
  return shard, record, nil, not is_told and op or nil
end

-- How an ended lock may be opened again without the steps that ended it losing their answers.
local ENDINGS_MAX = 8

-- The record's `w` with how it has ended now, which was so up to the shard's last event; the oldest go.
local function note_ending(shard, lock)
  local endings = {}
  for i, known in ipairs(lock.w and cjson.decode(lock.w) or {}) do
    endings[i] = '["' .. known[1] .. '","' .. known[2] .. '",' .. encode_lines(lines_of(known[3])) .. ',' .. known[4] .. ']'
  end
  endings[#endings + 1] = '["' .. shard.last .. '","' .. lock.s .. '",' .. lock.n .. ',' .. lock.v .. ']'
  if #endings > ENDINGS_MAX then table.remove(endings, 1) end
  return '[' .. table.concat(endings, ',') .. ']'
end

-- The answer of a step that ended its lock: how it had ended when it was opened again, or else how it has now.
local function ending_of(lock, position)
  for _, known in ipairs(lock.w and cjson.decode(lock.w) or {}) do
    if not is_behind(position, known[1]) then
      return { 'REPEATED', lock.id, position, known[2], '', encode_lines(lines_of(known[3])), known[4], lock.s }
    end
  end
  return lock_answer('REPEATED', lock, position)
end

-- The answer that an op kept. `version`: what is told where none is kept, as in ops of the code before this.
local function kept_answer(lock_id, op, version, current)
  local was = cjson.decode(op.answer)
  local expires_at = was[2] ~= cjson.null and string.format('%d', was[2]) or ''
  local lines = encode_lines(lines_of(was[3]))
  local answer = { 'REPEATED', lock_id, op.position, was[1], expires_at, lines, was[4] or version, current }
  answer[9] = was[5] and encode_units(was[5])
  return answer
end

local function original_step(lock, op)
  if op.answer == '' then return ending_of(lock, op.position) end
  return kept_answer(lock.id, op, lock.v - 1, lock.s) -- any version but the present one keeps `replace` from overwriting
end

-- Returns shard, lock, nil, or nil, nil, answer. Precedence: the gate's refusals, INVALID_ARGUMENT, REPEATED,
-- ID_REUSED, UNKNOWN_LOCK.
local function begin_step(keys, args, valid)
  local shard, lock, answer, op = begin_step_of(keys, args, valid, load_lock, 'UNKNOWN_LOCK')
  if not op then return shard, lock, answer end
  return nil, nil, original_step(lock, op)
end

-- Commits a step: the event, the counts, the record, the op. Returns the answer.
local function end_step(shard, lock, outcome, event, changes)
  keep_original(lock, changes, event.keeps_quantities)
  changes.v = changes.v or lock.v + 1
  event.lock_id = lock.id
  if event.op ~= '' then -- with an id, the event carries all that the answer to a repeat needs
    changes.s, changes.n = changes.s or lock.s, changes.n or lock.n
    if changes.x == nil then changes.x = lock.x or false end
  else
    event.fingerprint = nil
  end
  event.lock = encode_changes(changes)
  local position = commit(shard, event)
  if not position then return { 'NOT_READY', lock.id } end
  write_lock(shard, lock, changes)
  local beyond, ended = changes.m, lock.s == 'released' or lock.s == 'deducted'
  local text = (beyond or not ended) and ('["' .. lock.s .. '",' .. (lock.x or 'null') .. ',' .. lock.n .. ',' .. lock.v
    .. (beyond and (',' .. beyond) or '') .. ']')
  write_op(shard, event, position, text or '')
  local answer = lock_answer(outcome, lock, position)
  if beyond then answer[8], answer[9] = '', beyond end
  return answer
end

-- The request a lock was made of: as sourced when a step changed it, else as asked.
local function request_of(lock)
  if lock.q then
    local request = cjson.decode(lock.q)
    local lines = {}
    for i, line in ipairs(request[2]) do lines[i] = { sku = line[1], quantity = line[2], warehouse = line[3] } end
    return lines, request[1]
  end
  return decode_lines(lock.n), {}
end

-- The lines of a lock that gave its stock back, sourced anew; or nil and what `source_lines` says.
local function source_again(shard, lock, order)
  local lines, asked = request_of(lock)
  return source_lines(shard, lines, asked, order, {})
end

-- lines from ARGV[first] on: a count, then sku, quantity, warehouse ('' for any); and the index after them.
-- nil if one is no number.
local function read_lines(args, first)
  local count = natural(args[first])
  if not count or #args < first + 3 * count then return nil end
  local lines = {}
  for i = 1, count do
    local at = first + 3 * (i - 1)
    local quantity = natural(args[at + 2])
    if not quantity or quantity < 1 then return nil end
    lines[i] = { sku = args[at + 1], quantity = quantity, warehouse = args[at + 3] }
  end
  return lines, first + 3 * count + 1
end

-- Lines that may be left out, from ARGV[first] on: whether they could be read, and the lines or nil for all.
local function read_wanted(args, first)
  if not args[first] then return true, nil end
  local wanted = read_lines(args, first)
  return wanted ~= nil and #wanted > 0, wanted
end

-- {sku -> its lines}, so that a step's cost grows with its lines and not with their square.
local function by_sku(lines)
  local index = {}
  for _, line in ipairs(lines) do
    index[line.sku] = index[line.sku] or {}
    table.insert(index[line.sku], line)
  end
  return index
end

-- The SKUs of some lines, each once.
local function skus_of(lines)
  local skus, seen = {}, {}
  for _, line in ipairs(lines) do
    if not seen[line.sku] then skus[#skus + 1], seen[line.sku] = line.sku, true end
  end
  return skus
end

-- A SKU's lines are few, and looked through; those of one in many warehouses are indexed.
local LOOKED_THROUGH_MAX = 8

-- The one of a SKU's lines that is in a warehouse, or nil.
local function line_at(lines, warehouse)
  if #lines <= LOOKED_THROUGH_MAX then
    for _, line in ipairs(lines) do
      if line.warehouse == warehouse and not line.gone then return line end
    end
    return nil
  end
  if not lines.at then
    lines.at = {}
    for _, line in ipairs(lines) do
      if not line.gone then lines.at[line.warehouse] = line end
    end
  end
  return lines.at[warehouse]
end

-- The one of a SKU's lines that a request's line means. nil and 'WAREHOUSE_REQUIRED' when several could be.
local function find_line(lines, wanted)
  local found
  if wanted.warehouse ~= '' then
    found = line_at(lines, wanted.warehouse)
    return found and found.quantity > found.deducted and found or nil
  end
  for _, line in ipairs(lines) do
    if line.quantity > line.deducted then
      if found then return nil, 'WAREHOUSE_REQUIRED' end
      found = line
    end
  end
  return found
end

local function exceeding_line(wanted, requested, held)
  local warehouse = wanted.warehouse ~= '' and (',"warehouse":"' .. wanted.warehouse .. '"') or ''
  return table.concat({
    '{"sku":"', wanted.sku, '"', warehouse, ',"requested":', requested, ',"held":', held, '}',
  })
end

-- The SKUs of which `wanted` is all that is left, in every warehouse: {sku -> true}. `index`: {sku -> its lines}.
local function whole_skus(index, wanted)
  local asked, named, whole = {}, {}, {}
  for _, want in ipairs(wanted) do
    asked[want.sku] = (asked[want.sku] or 0) + want.quantity
    if want.warehouse ~= '' then
      named[want.sku] = named[want.sku] or { units = 0 }
      named[want.sku].units = named[want.sku].units + want.quantity
      named[want.sku]['\n' .. want.warehouse] = (named[want.sku]['\n' .. want.warehouse] or 0) + want.quantity
    end
  end
  for sku, units in pairs(asked) do
    local left, here, fits = 0, 0, true
    for _, line in ipairs(index[sku] or {}) do
      local its = named[sku] and named[sku]['\n' .. line.warehouse] or 0
      fits = fits and its <= line.quantity - line.deducted
      left, here = left + line.quantity - line.deducted, here + its
    end
    whole[sku] = fits and left == units and here == (named[sku] and named[sku].units or 0) or nil
  end
  return whole
end

-- Takes those SKUs, and returns the lines of `wanted` that are about others.
local function take_whole_skus(index, wanted, taken)
  local whole, others = whole_skus(index, wanted), {}
  for sku in pairs(whole) do
    for _, line in ipairs(index[sku]) do taken[line] = line.quantity - line.deducted end
  end
  for _, want in ipairs(wanted) do
    if not whole[want.sku] then others[#others + 1] = want end
  end
  return others
end

-- How much of each of the lock's lines a step takes: {line -> quantity}; all that is left without `wanted`.
-- Or nil and an answer: WAREHOUSE_REQUIRED, then QUANTITY_EXCEEDS_LOCK with every line that does.
-- `takes_whole`: all that is left of a SKU needs no warehouse named. `index`: {sku -> its lines}, if that is known.
local function take_lines(lock, lines, wanted, takes_whole, index)
  local taken, exceeding = {}, {}
  if not wanted then
    for _, line in ipairs(lines) do taken[line] = line.quantity - line.deducted end
    return taken
  end
  local found = {}
  index = index or by_sku(lines)
  if takes_whole then wanted = take_whole_skus(index, wanted, taken) end
  for i, want in ipairs(wanted) do
    local line, several = find_line(index[want.sku] or {}, want)
    if several then return nil, { several, lock.id, want.sku } end
    found[i] = line or false
    if line then taken[line] = (taken[line] or 0) + want.quantity end
  end
  local told = {}
  local function exceeds(wanted_line, requested, held)
    local text = exceeding_line(wanted_line, requested, held)
    if not told[text] then exceeding[#exceeding + 1] = text end
    told[text] = true
  end
  for i, want in ipairs(wanted) do
    local line = found[i]
    if not line then
      exceeds(want, want.quantity, 0)
    elseif taken[line] > line.quantity - line.deducted then
      exceeds(line, taken[line], line.quantity - line.deducted)
    end
  end
  if #exceeding > 0 then
    local answer = lock_answer('QUANTITY_EXCEEDS_LOCK', lock, '')
    answer[8] = '[' .. table.concat(exceeding, ',') .. ']'
    return nil, answer
  end
  return taken
end

local function all_taken(lines, taken)
  for _, line in ipairs(lines) do
    if line.quantity - line.deducted > (taken[line] or 0) then return false end
  end
  return true
end
