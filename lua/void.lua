-- void: a shipment of a lock never left: its units are on the shelf, and promised to the order again.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id  4 op (of the voiding)  5 fingerprint  6 op of the shipment
--       7 when that happened in ms ('' for now): what was counted since has counted the units, and stands
--       8 reason as JSON ('' for none)
--       9… what the shipment took, as the ledger has it (a count, then sku, quantity, warehouse); without: it was voided
--       before, as the ledger has it
-- Event void, moves customer -> locked. From then on the shipment's id is one of a voided shipment.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT (also if less has
--   shipped than is said), REPEATED, UNKNOWN_LOCK, UNCHANGED (it was voided before), SHIPMENT_REPORTED (an
--   event of the inbox told of it, so it left), SHIPMENT_RETURNED (with every SKU of which some came back), VOIDED.

-- Whether events told of the shipment, whole or line by line.
local function is_reported(shard, shipment_op, lines)
  local shipment = load_op(shard, shipment_op)
  if shipment and shipment.fingerprint == TOLD then return true end
  for _, line in ipairs(lines) do
    if load_op(shard, told_op(shipment_op, line.sku, line.warehouse)) then return true end
  end
  return false
end

-- What has shipped and not come back: {sku -> units}.
local function unreturned(lock, lines)
  local left = {}
  for _, line in ipairs(lines) do left[line.sku] = (left[line.sku] or 0) + line.deducted end
  for _, back in ipairs(lock.r and cjson.decode(lock.r) or {}) do
    left[back[1]] = math.max(0, (left[back[1]] or 0) - back[2])
  end
  return left
end

-- SKUs of which more is taken back than is `left`, as JSON; nil for none.
local function beyond_unreturned(left, taken)
  local asked, order, exceeding = {}, {}, {}
  for _, line in ipairs(taken) do
    if not asked[line.sku] then order[#order + 1] = line.sku end
    asked[line.sku] = (asked[line.sku] or 0) + line.quantity
  end
  for _, sku in ipairs(order) do
    if asked[sku] > left[sku] then
      exceeding[#exceeding + 1] = exceeding_line({ sku = sku, warehouse = '' }, asked[sku], left[sku])
    end
  end
  return #exceeding > 0 and ('[' .. table.concat(exceeding, ',') .. ']') or nil
end

-- Takes the units off what has shipped; false if it was less.
local function unship(lines, taken)
  local index = {}
  for _, line in ipairs(lines) do index[line.sku .. '\n' .. line.warehouse] = line end
  for _, want in ipairs(taken) do
    local line = index[want.sku .. '\n' .. want.warehouse]
    if not line or line.deducted < want.quantity then return false end
    line.deducted = line.deducted - want.quantity
  end
  return true
end

local function void(keys, args)
  local fine, taken = read_wanted(args, 9)
  local at = moment(args[7])
  local valid = fine and (args[6] or '') ~= '' and (at or args[7] == '') and args[8]
  local shard, lock, answer = begin_step(keys, args, valid)
  if answer then return answer end
  if not taken then return lock_answer('UNCHANGED', lock, shard.last) end
  taken = merge_lines(taken)
  if is_reported(shard, args[6], taken) then return lock_answer('SHIPMENT_REPORTED', lock, shard.last) end
  local lines = decode_lines(lock.n)
  local left = unreturned(lock, lines)
  if not unship(lines, taken) then return { 'INVALID_ARGUMENT', lock.id } end
  local exceeding = beyond_unreturned(left, taken)
  if exceeding then
    answer = lock_answer('SHIPMENT_RETURNED', lock, shard.last)
    answer[8] = exceeding
    return answer
  end
  for _, line in ipairs(taken) do
    fact_move(shard, load_stock(shard, line.sku), line.warehouse, 'c', 'l', line.quantity, nil, nil, at)
  end
  local changes = {
    s = any_deducted(lines) and 'partly_deducted' or 'confirmed', e = gone(lock.e), n = encode_lines(lines),
    w = lock.s == 'deducted' and note_ending(shard, lock) or nil,
  }
  local event = {
    kind = 'void', op = args[4], fingerprint = args[5], reason = args[8] ~= '' and args[8] or nil, occurred_at = at,
    document = 'null,[[["' .. args[6] .. '","' .. VOID .. '",""]],null]', keeps_quantities = true,
  }
  answer = end_step(shard, lock, 'VOIDED', event, changes)
  if answer[1] == 'VOIDED' then write_op(shard, { op = args[6], fingerprint = VOID }, answer[3]) end
  return answer
end

register('void', void, { 'allow-oom' })
