-- merge_stock: what a SKU has in a warehouse that should never have been is in another one; its documents take theirs along.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 sku  4 from  5 to  6 reason as JSON
-- Event merge, moves available -> available and damaged -> damaged of the other warehouse; of buffers the greater one stays.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT, UNCHANGED,
--   QUANTITY_TOO_LARGE, MERGED: {outcome, sku, position}.
--
-- merge_lock: the same of what an open lock holds there; its lines and its request name the other warehouse.
-- KEYS  1 meta
-- ARGV  3 lock_id, the others as above
-- Event merge, moves locked -> locked of the other warehouse.
-- Returns as merge_stock, and UNKNOWN_LOCK; MERGED with the lock.
--
-- merge_transfer: the same of what an open transfer has still to ship from there, or has on its way to there.
-- KEYS  1 meta
-- ARGV  3 transfer_id, the others as above
-- Event merge, moves locked -> locked, in transit -> in transit of the other warehouse.
-- Returns as merge_stock, and UNKNOWN_TRANSFER, and TRANSFER_NOT_OPEN (it leads from one of the two
--   to the other: close it before); MERGED with the transfer.

-- Returns the shard and what is merged; or nil and the answer.
local function begin_merge(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return nil, refusal end
  local is_valid = args[6] and args[3] ~= '' and args[4] ~= '' and args[5] ~= '' and args[4] ~= args[5]
  if not is_valid then return nil, { 'INVALID_ARGUMENT', args[3] or '' } end
  local from, to, reason = args[4], args[5], args[6]
  local merge = { from = from, to = to, reason = reason }
  merge.named = function(warehouse) return warehouse == from and to or warehouse end
  return shard, merge
end

-- Units of a state; what is missing there (less than zero) is missing in the other warehouse from now on.
local function take_over(shard, merge, stock, state, units)
  if units > 0 then move(shard, stock, merge.from, state, state, units, merge.reason, merge.to) end
  if units < 0 then move(shard, stock, merge.to, state, state, -units, merge.reason, merge.from) end
end

local function set_buffer(shard, stock, warehouse, units)
  if count_of(stock, warehouse, 'b') == units then return end
  stock.counts[fields_of(warehouse).b] = units
  move(shard, stock, warehouse, 'b', 'b', 0)
end

local function merge_stock(keys, args)
  local shard, merge = begin_merge(keys, args)
  if not shard then return merge end
  local stock = load_stock(shard, args[3])
  local buffer = count_of(stock, merge.from, 'b')
  if buffer ~= 0 then
    set_buffer(shard, stock, merge.to, math.max(buffer, count_of(stock, merge.to, 'b')))
    set_buffer(shard, stock, merge.from, 0)
  end
  for _, state in ipairs({ 'a', 'd' }) do take_over(shard, merge, stock, state, count_of(stock, merge.from, state)) end
  if #shard.moves == 0 then return { 'UNCHANGED', args[3], shard.last } end
  if not counts_fit(shard) then return { 'QUANTITY_TOO_LARGE', args[3] } end
  local position = commit(shard, { kind = 'merge', reason = merge.reason })
  return position and { 'MERGED', args[3], position } or { 'NOT_READY', args[3] }
end

-- Stages what a lock holds there; returns its lines as they are then, or nil if it has none there.
local function merge_lines_of(shard, merge, lines)
  local merged, index, any = {}, {}, false
  for _, line in ipairs(lines) do
    if line.warehouse == merge.from then
      any = true
      take_over(shard, merge, load_stock(shard, line.sku), 'l', line.quantity - line.deducted)
      line.warehouse = merge.to
    end
    local key = line.sku .. '\n' .. line.warehouse
    local same = index[key]
    if same then
      same.quantity, same.deducted = same.quantity + line.quantity, same.deducted + line.deducted
    else
      index[key], merged[#merged + 1] = line, line
    end
  end
  return any and merged or nil
end

local function merge_request(merge, text)
  local request, lines, asked, met = cjson.decode(text), {}, {}, {}
  for i, line in ipairs(request[2]) do
    lines[i] = { sku = line[1], quantity = line[2], warehouse = merge.named(line[3]) }
  end
  for _, code in ipairs(request[1]) do
    local warehouse = merge.named(code)
    if not met[warehouse] then asked[#asked + 1], met[warehouse] = warehouse, true end
  end
  return encode_request(lines, asked)
end

local function merge_lock(keys, args)
  local shard, merge = begin_merge(keys, args)
  if not shard then return merge end
  local lock = load_lock(shard, args[3])
  if not lock then return { 'UNKNOWN_LOCK', args[3] } end
  local lines = is_open(lock) and merge_lines_of(shard, merge, decode_lines(lock.n))
  if not lines then return lock_answer('UNCHANGED', lock, shard.last) end
  if not counts_fit(shard) then return { 'QUANTITY_TOO_LARGE', args[3] } end
  local changes = { n = encode_lines(lines) }
  if lock.q then changes.q = merge_request(merge, lock.q) end
  return end_step(shard, lock, 'MERGED', { kind = 'merge', op = '', reason = merge.reason }, changes)
end

local function merge_transfer(keys, args)
  local shard, merge = begin_merge(keys, args)
  if not shard then return merge end
  local transfer = load_transfer(shard, args[3])
  if not transfer then return { 'UNKNOWN_TRANSFER', args[3] } end
  local a, b = merge.named(transfer.a), merge.named(transfer.b)
  if not transfer_is_open(transfer) or (a == transfer.a and b == transfer.b) then
    return transfer_answer('UNCHANGED', transfer, shard.last)
  end
  if a == b then return transfer_answer('TRANSFER_NOT_OPEN', transfer, shard.last) end
  for _, line in ipairs(decode_transfer_lines(transfer.n)) do
    local stock = load_stock(shard, line.sku)
    if a ~= transfer.a then take_over(shard, merge, stock, 'l', unshipped(line)) end
    if b ~= transfer.b then take_over(shard, merge, stock, 't', on_the_way(line)) end
  end
  if not counts_fit(shard) then return { 'QUANTITY_TOO_LARGE', args[3] } end
  local changes = { v = transfer.v + 1, a = a, b = b }
  local event = { kind = 'merge', reason = merge.reason, document = transfer_document(transfer.id, changes) }
  local position = commit(shard, event)
  if not position then return { 'NOT_READY', transfer.id } end
  write_transfer(shard, transfer, changes)
  return transfer_answer('MERGED', transfer, position)
end

register('merge_stock', merge_stock, { 'allow-oom' })
register('merge_lock', merge_lock, { 'allow-oom' })
register('merge_transfer', merge_transfer, { 'allow-oom' })
