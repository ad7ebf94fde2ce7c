-- transfer: stock is asked for at one warehouse for another; it is promised at the source, all lines or none.
-- The buffer is withheld from sale, not from moving: a transfer may take it.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 transfer_id  4 fingerprint  5 from  6 to
--       7… lines (a count, then sku, quantity, '')
-- Event transfer, moves available -> locked at the source.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   REPEATED (the original answer, then the status now), ID_REUSED, BACKLOG_FULL,
--   INSUFFICIENT_STOCK (all shortages), TRANSFER_REQUESTED (the transfer).

-- As it was answered first: nothing shipped yet.
local function original_transfer(transfer)
  local lines = decode_transfer_lines(transfer.n)
  for _, line in ipairs(lines) do no_steps(line) end
  local answer = transfer_answer('REPEATED', transfer, transfer.p)
  answer[4], answer[7], answer[8] = 'requested', encode_transfer_lines(lines), transfer.s
  return answer
end

local function read_transfer_request(args)
  local from, to = args[5], args[6]
  local lines = to and from ~= '' and to ~= '' and from ~= to and read_lines(args, 7)
  if not lines or #lines == 0 then return nil end
  for _, line in ipairs(lines) do line.warehouse = from end
  return merge_lines(lines)
end

-- Lines of which less is available than is asked for, as JSON; nil for none.
local function shortages_at_source(shard, lines)
  local shortages = {}
  for _, line in ipairs(lines) do
    local stock = load_stock(shard, line.sku, line.warehouse)
    local available = math.max(0, count_of(stock, line.warehouse, 'a'))
    if available < line.quantity then shortages[#shortages + 1] = shortage_of(line, available, not stock.known) end
  end
  return #shortages > 0 and ('[' .. table.concat(shortages, ',') .. ']') or nil
end

local function request_transfer(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local transfer_id, fingerprint, lines = args[3], args[4], read_transfer_request(args)
  if not lines then return { 'INVALID_ARGUMENT', transfer_id or '' } end
  local known = load_transfer(shard, transfer_id)
  if known then
    return known.f == fingerprint and original_transfer(known) or { 'ID_REUSED', transfer_id }
  end
  if backlog_is_full(shard) then return { 'BACKLOG_FULL', transfer_id } end
  local shortages = shortages_at_source(shard, lines)
  if shortages then return { 'INSUFFICIENT_STOCK', transfer_id, shortages } end
  take_stock(shard, lines)
  for _, line in ipairs(lines) do no_steps(line) end
  local changes = {
    s = 'requested', v = 1, f = fingerprint, a = args[5], b = args[6], n = encode_transfer_lines(lines),
  }
  local position = commit(shard, { kind = 'transfer', document = transfer_document(transfer_id, changes) })
  if not position then return { 'NOT_READY', transfer_id } end
  changes.p = position
  local transfer = { id = transfer_id }
  write_transfer(shard, transfer, changes)
  return transfer_answer('TRANSFER_REQUESTED', transfer, position)
end

register('transfer', request_transfer, {})
