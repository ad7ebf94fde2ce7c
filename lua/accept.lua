-- accept: a person takes the word of one of a document's reporters; what is booked follows it.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 op  4 fingerprint  5 family of the document  6 sku  7 reporter  8 reason as JSON ('' for none)
--       9 the id of the lock whose goods came back, if the document is a return of one ('' for none)
-- Event accept, moves as those of the document's kind, or none.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT, REPEATED, ID_REUSED,
--   UNKNOWN_LOCK, UNKNOWN_TRANSFER, UNKNOWN_SKU (nothing is known of it in the document), INSUFFICIENT_DAMAGED,
--   QUANTITY_TOO_LARGE, ADJUSTED: {outcome, op, position}.

local KINDS = { receipt = 'receive', ['return'] = 'return', adjustment = 'adjust' }

local ACCEPT = {}

function ACCEPT.deduct(shard, family, sku, event, lock_id)
  local lock, sums = load_lock(shard, lock_id), sums_of(family, sku)
  if not lock then return 'UNKNOWN_LOCK' end
  local order, stock = order_of(lock), load_stock(shard, sku)
  note_places(shard, stock, sums, {}, ship_claims(shard, order, sums, stock))
  local changes = changes_of_order(order)
  keep_original(lock, changes, order.same)
  event.lock_id, event.lock = lock.id, encode_changes(changes)
  return nil, function() write_lock(shard, lock, changes) end
end

local function accept_carried(shard, family, sku, event, transfer_id, book)
  local transfer = load_transfer(shard, transfer_id)
  local carriage = transfer and carriage_of(transfer)
  local line = carriage and carried(carriage, sku)
  if not line then return 'UNKNOWN_TRANSFER' end
  book(carriage, line, load_stock(shard, sku), sums_of(family, sku))
  local changes = changes_of_carriage(carriage)
  event.document = transfer_document(transfer.id, changes)
  return nil, function() write_transfer(shard, transfer, changes) end
end

function ACCEPT.transfer_ship(shard, family, sku, event, transfer_id)
  return accept_carried(shard, family, sku, event, transfer_id, function(carriage, line, stock, sums)
    ship_carried(shard, carriage, sums, line, stock, 0)
  end)
end

function ACCEPT.transfer_receive(shard, family, sku, event, transfer_id)
  return accept_carried(shard, family, sku, event, transfer_id, function(carriage, line, stock, sums)
    receive_carried(shard, carriage, sums, line, stock, '', { 0, 0, 0 })
  end)
end

-- What came back of a lock is noted in its record, without a limit: a person has said so.
local function note_accepted(shard, event, lock_id, sku, more)
  local lock = lock_id ~= '' and more ~= 0 and load_lock(shard, lock_id)
  if not lock then return function() end end
  local known, found = lock.r and cjson.decode(lock.r) or {}, false
  for _, one in ipairs(known) do
    if one[1] == sku then one[2], found = math.max(0, one[2] + more), true end
  end
  if not found then known[#known + 1] = { sku, math.max(0, more) } end
  local parts = {}
  for i, one in ipairs(known) do parts[i] = '["' .. one[1] .. '",' .. one[2] .. ']' end
  local changes = { r = '[' .. table.concat(parts, ',') .. ']' } -- no answer shows it: the version stays
  event.lock_id, event.lock = lock.id, encode_changes(changes)
  return function() write_lock(shard, lock, changes) end
end

local function accept_booking(shard, family, sku, event, kind, lock_id)
  local stock = load_stock(shard, sku)
  local more = book_claims(shard, kind, sums_of(family, sku), stock, '', '', { 0, 0, 0 }, nil, event.reason)
  for field, count in pairs(stock.counts) do
    if string.sub(field, -2) == ':d' and count < 0 then return 'INSUFFICIENT_DAMAGED' end
  end
  event.kind = kind == 'receive' and more > 0 and 'receive' or event.kind
  local order = kind == 'receive' and string.match(family.name, '^receipt:([^{]+){')
  if order then event.document = '["purchase_order","' .. order .. '",{}]' end
  return nil, note_accepted(shard, event, kind == 'return' and lock_id or '', sku, more)
end

local function accept(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local op, fingerprint, name, sku, reporter = args[3], args[4], args[5], args[6], args[7]
  if not args[9] or op == '' then return { 'INVALID_ARGUMENT', op or '' } end
  local known = load_op(shard, op)
  if known then return { known.fingerprint == fingerprint and 'REPEATED' or 'ID_REUSED', op, known.position } end
  local family = load_family(shard, name, { sku })
  if not family.known[sku] then return { 'UNKNOWN_SKU', op, '[]' } end
  sums_to_change(family, sku).lead = reporter
  local event = {
    kind = 'accept', op = op, fingerprint = fingerprint, family = family, reason = args[8] ~= '' and args[8] or nil,
  }
  local kind, id = string.match(name, '^([a-z_]+):(.*)$')
  local refused, write
  if ACCEPT[kind] then refused, write = ACCEPT[kind](shard, family, sku, event, id)
  else refused, write = accept_booking(shard, family, sku, event, KINDS[kind], args[9]) end
  if refused then return { refused, op, '[]' } end
  if not counts_fit(shard) then return { 'QUANTITY_TOO_LARGE', op } end
  local position = commit(shard, event)
  if not position then return { 'NOT_READY', op } end
  write()
  write_op(shard, event, position)
  return { 'ADJUSTED', op, position }
end

register('accept', accept, { 'allow-oom' })
