-- fact: one event of a warehouse system. A fact is never refused: it waits (the answers that book nothing), or it
-- is booked, what its document does not cover beside it. One that waits for its document or a person holds up no other.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 op (of source and event_id)  4 fingerprint  5 occurred_at in ms
--       6 received, shipped, returned, adjusted, transfer_shipped or transfer_received  7 warehouse  8 sku
--       9 units (of an adjustment with its sign)  10 damaged  11 lost  12 `a` or `d`: what was returned or adjusted
--       13 id of the lock, transfer or purchase order ('' for none)
--       14 op of the document that it tells of, as a route has it ('' for none)  15 fingerprint of what it says there
--       16 source  17 sequence ('' for none)
--       18 '' or `force` (book it whatever is missing), `hold` (in its turn let those behind it
--       pass), `pass` (let them pass now), `drop` (never book it)
--       19 reason as JSON ('' for none)  20 what is odd about it, or why it is dropped, as JSON ('' for nothing)
-- Event receive, deduct, return, adjust, transfer_ship, transfer_receive as those of the routes; told (a document
--   that was known), hold, drop: without moves. Each carries the ids it is known by, and its place in the sequence.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT, REPEATED (also if
--   somebody else told of its document), ID_REUSED, EARLY (others come before it in the sequence), HELD, OTHER_CONTENT
--   (somebody told otherwise of its document), UNKNOWN_LOCK, UNKNOWN_TRANSFER, INSUFFICIENT_DAMAGED, QUANTITY_TOO_LARGE,
--   BOOKED: {outcome, op, position, what is odd about it}, DROPPED.

local fact

do
  local KINDS = {
    received = 'receive', shipped = 'deduct', returned = 'return', adjusted = 'adjust',
    transfer_shipped = 'transfer_ship', transfer_received = 'transfer_receive',
  }
  local MODES = { [''] = true, force = true, hold = true, pass = true, drop = true }

  local function read_fact(args)
    local sign, units = string.match(args[9] or '', '^(%-?)(%d+)$')
    local told = {
      op = args[3], fingerprint = args[4], at = moment(args[5]), kind = KINDS[args[6]], warehouse = args[7],
      sku = args[8], units = natural(units), gone = sign == '-', damaged = natural(args[10]), lost = natural(args[11]),
      state = args[12], document = args[13], id = args[14], id_fingerprint = args[15], source = args[16],
      sequence = natural(args[17]), mode = args[18], reason = args[19] ~= '' and args[19] or nil,
      odd = args[20] ~= '' and args[20] or nil,
    }
    local numbers = told.at and told.units and told.damaged and told.lost and (told.sequence or args[17] == '')
    local words = told.kind and MODES[told.mode] and (told.state == 'a' or told.state == 'd')
    if not numbers or not words or told.op == '' or told.sku == '' or told.warehouse == '' then return nil end
    return told
  end

  -- The event's place in its sequence

  -- {tag}sequences:<source>: per warehouse the number of its last event.
  local function sequences_key(shard, told)
    return shard.tag .. 'sequences:' .. told.source
  end

  local function is_next(shard, told)
    if not told.sequence then return true end
    told.last = tonumber(redis.call('HGET', sequences_key(shard, told), told.warehouse) or '0')
    return told.sequence <= told.last + 1
  end

  -- Commits what an event came to: its event, its ids, its place in the sequence.
  local function keep(shard, told, event, ids)
    local parts, sequence = {}, 'null'
    for i, id in ipairs(ids) do parts[i] = table.concat({ '["', id[1], '","', id[2], '","', id[3], '"]' }) end
    if told.sequence and told.sequence > told.last then
      sequence = table.concat({ '["', told.source, '","', told.warehouse, '",', told.sequence, ']' })
    end
    event.document = table.concat({ event.document or 'null', ',[[', table.concat(parts, ','), '],', sequence, ']' })
    event.occurred_at = told.at
    local position = commit(shard, event)
    if not position then return nil end
    write_op(shard, event, position)
    for _, id in ipairs(ids) do
      redis.call('SET', op_key(shard, id[1]), table.concat({ id[2], ' ', position, ' ', id[3] }))
    end
    if sequence ~= 'null' then redis.call('HSET', sequences_key(shard, told), told.warehouse, told.sequence) end
    return position
  end

  local function set_aside(shard, told, outcome, event)
    if told.last and told.sequence > told.last + 1 and told.mode ~= 'pass' then
      told.sequence = nil -- those before it are still to come
    end
    if not event.op and not (told.sequence and told.sequence > told.last) then return { outcome, told.op, '' } end
    local position = keep(shard, told, event, {})
    return position and { outcome, told.op, position } or { 'NOT_READY', told.op }
  end

  -- The document that it is about

  local function load_document(shard, told)
    if told.document == '' then return end
    if told.kind == 'deduct' or told.kind == 'return' then told.lock = load_lock(shard, told.document) end
    if told.kind == 'transfer_ship' or told.kind == 'transfer_receive' then
      told.transfer = load_transfer(shard, told.document)
      told.lines = told.transfer and decode_transfer_lines(told.transfer.n)
    end
  end

  -- Whether a route's document, whose SKUs are not kept, was about this one: so its record says.
  local function has_line(told)
    if told.kind == 'deduct' and told.lock then
      for _, line in ipairs(decode_lines(told.lock.n)) do
        if line.sku == told.sku and line.deducted > 0 then return true end
      end
      return false
    end
    for _, line in ipairs(told.lines or {}) do
      if line.sku == told.sku then return told.kind == 'transfer_ship' and line.shipped > 0 or on_the_way(line) < line.shipped end
    end
    return not told.lines
  end

  -- REPEATED or OTHER_CONTENT if another event, or a route, told of the same document and SKU.
  local function told_before(shard, told)
    if told.id == '' then return nil end
    local record = told.transfer or (told.kind == 'deduct' and told.lock) or nil
    local known = load_op(shard, told_op(told.id, told.sku, told.warehouse))
    if known and (not record or is_of(known, record)) then
      return known.fingerprint == told.id_fingerprint and 'REPEATED' or 'OTHER_CONTENT', known.position
    end
    local route = load_op(shard, told.id)
    told.is_noted = route and route.fingerprint ~= TOLD
    local is_its = route and (not record or is_of(route, record))
    if told.is_noted and is_its and has_line(told) then return 'REPEATED', route.position end
    return nil
  end

  local function ids_of(told)
    if told.id == '' then return {} end
    local units = told.units + told.damaged + told.lost
    local ids = { { told_op(told.id, told.sku, told.warehouse), told.id_fingerprint, units } }
    if not told.is_noted then ids[2] = { told.id, TOLD, '' } end -- a route's own note says more
    return ids
  end

  -- What each type comes to: staged moves, and of the event its lock or document. Or a refusal.

  local function book_move(shard, told, source, target, units)
    if units == 0 then return end
    local stock = load_stock(shard, told.sku, told.warehouse)
    fact_move(shard, stock, told.warehouse, source, target, units, told.reason, nil, told.at)
  end

  local FACTS = {}

  function FACTS.receive(shard, told, event)
    book_move(shard, told, 's', 'a', told.units)
    book_move(shard, told, 's', 'd', told.damaged)
    if told.document ~= '' then event.document = '["purchase_order","' .. told.document .. '",{}]' end
  end

  -- Takes what its lock holds there; returns the rest, and how the lock changes.
  local function ship_of_lock(shard, told)
    local lock, left, ended = told.lock, told.units, true
    local lines = decode_lines(lock.n)
    for _, line in ipairs(lines) do
      if line.sku == told.sku and line.warehouse == told.warehouse then
        local units = math.min(left, line.quantity - line.deducted)
        book_move(shard, told, 'l', 'c', units)
        line.deducted, left = line.deducted + units, left - units
      end
      ended = ended and line.deducted == line.quantity
    end
    if left == told.units then return left, nil end
    local changes = {
      s = ended and 'deducted' or 'partly_deducted', e = ended and 'deduct' or nil, x = false, n = encode_lines(lines),
      v = lock.v + 1,
    }
    keep_original(lock, changes, true)
    return left, changes
  end

  function FACTS.deduct(shard, told, event)
    local left = told.units
    if told.document ~= '' and not told.lock and told.mode ~= 'force' then return 'UNKNOWN_LOCK' end
    if told.lock and is_open(told.lock) then left, told.changes = ship_of_lock(shard, told) end
    if left == 0 then return end
    book_move(shard, told, 'a', 'c', left)
    told.odd = told.lock and '"beyond its lock"' or told.document ~= '' and '"unknown lock"' or '"without a lock"'
  end

  -- What the lock's record says once these units came back, which may be before they are known to have shipped.
  local function returned_of(told)
    local parts, found, shipped = {}, false, 0
    for _, line in ipairs(decode_lines(told.lock.n)) do
      if line.sku == told.sku then shipped = shipped + line.deducted end
    end
    for _, known in ipairs(told.lock.r and cjson.decode(told.lock.r) or {}) do
      if known[1] == told.sku then found, known[2] = true, known[2] + told.units end
      if known[1] == told.sku and known[2] > shipped then told.odd = '"more than was shipped"' end
      parts[#parts + 1] = '["' .. known[1] .. '",' .. known[2] .. ']'
    end
    if not found then
      parts[#parts + 1] = '["' .. told.sku .. '",' .. told.units .. ']'
      if told.units > shipped then told.odd = '"more than was shipped"' end
    end
    return { r = '[' .. table.concat(parts, ',') .. ']', v = told.lock.v + 1 }
  end

  FACTS['return'] = function(shard, told)
    if told.document ~= '' and not told.lock then
      if told.mode ~= 'force' then return 'UNKNOWN_LOCK' end
      told.odd = told.odd or '"unknown lock"'
    end
    book_move(shard, told, 'c', told.state, told.units)
    if told.lock then told.changes = returned_of(told) end
  end

  function FACTS.adjust(shard, told)
    if told.gone then
      book_move(shard, told, told.state, 'j', told.units)
    else
      book_move(shard, told, 'j', told.state, told.units)
    end
  end

  -- A transfer's units that arrived before anybody said that they had left: [[sku, units, when they arrived], …]
  local function encode_implied(implied)
    local parts = {}
    for i, one in ipairs(implied) do parts[i] = string.format('["%s",%d,%d]', one[1], one[2], one[3]) end
    return '[' .. table.concat(parts, ',') .. ']'
  end

  local function implied_of(told)
    told.implied = told.implied or (told.transfer.i and cjson.decode(told.transfer.i)) or {}
    return told.implied
  end

  -- That they had left was noted when they arrived; now it is known when: what was counted in between must stand.
  local function date_implied(shard, told, units, noted_at)
    local stock = load_stock(shard, told.sku)
    if told.at >= noted_at then return end
    fact_move(shard, stock, told.warehouse, 'a', 'j', units, nil, nil, told.at)
    local reason = '"left before",null,null,' .. string.format('%d', noted_at)
    fact_move(shard, stock, told.warehouse, 'j', 'a', units, reason, nil, noted_at)
  end

  local function take_implied(shard, told, left)
    local rest = {}
    for _, one in ipairs(implied_of(told)) do
      local units = one[1] == told.sku and math.min(left, one[2]) or 0
      if units > 0 then date_implied(shard, told, units, one[3]) end
      left = left - units
      if one[2] > units then rest[#rest + 1] = { one[1], one[2] - units, one[3] } end
    end
    told.implied = rest
    return left
  end

  local function line_of(told, warehouse)
    if not told.transfer or warehouse ~= told.warehouse then return nil end
    for _, line in ipairs(told.lines) do
      if line.sku == told.sku then return line end
    end
    return nil
  end

  local function leave(shard, told, line, units)
    if units <= 0 then return end
    local transfer = told.transfer
    fact_move(shard, load_stock(shard, told.sku), transfer.a, 'l', 't', units, nil, transfer.b, told.at)
    line.shipped = line.shipped + units
  end

  local function beyond_transfer(told)
    told.odd = told.transfer and '"beyond its transfer"' or told.document ~= '' and '"unknown transfer"' or '"without a transfer"'
  end

  function FACTS.transfer_ship(shard, told)
    if told.document ~= '' and not told.transfer and told.mode ~= 'force' then return 'UNKNOWN_TRANSFER' end
    local left, line = told.units, line_of(told, told.transfer and told.transfer.a)
    if line then
      left = take_implied(shard, told, left)
      local units = math.min(left, unshipped(line))
      leave(shard, told, line, units)
      left = left - units
      told.changes = {}
    end
    if left == 0 then return end
    book_move(shard, told, 'a', 'j', left)
    beyond_transfer(told)
  end

  -- Units on the way of what arrived or was lost, and the rest; `name` counts them in the transfer's line.
  local function arrive_of(told, line, name, units, covered)
    local its = math.min(units, covered)
    if line then line[name] = line[name] + its end
    return its, units - its
  end

  function FACTS.transfer_receive(shard, told)
    if told.document ~= '' and not told.transfer and told.mode ~= 'force' then return 'UNKNOWN_TRANSFER' end
    local line, covered = line_of(told, told.transfer and told.transfer.b), 0
    local total = told.units + told.damaged + told.lost
    if line then
      local early = math.min(math.max(0, total - on_the_way(line)), unshipped(line))
      if early > 0 then
        leave(shard, told, line, early)
        table.insert(implied_of(told), { told.sku, early, told.at })
      end
      covered = math.min(total, on_the_way(line))
      told.changes = {}
    end
    if covered < total then beyond_transfer(told) end
    for _, way in ipairs({ { 'received', told.units, 'a' }, { 'damaged', told.damaged, 'd' }, { 'lost', told.lost, 'j' } }) do
      local its, beyond = arrive_of(told, line, way[1], way[2], covered)
      covered = covered - its
      book_move(shard, told, 't', way[3], its)
      if way[3] ~= 'j' then book_move(shard, told, 'j', way[3], beyond) end
    end
  end

  -- Damaged units never go below zero: those that were not damaged are missing from the others.
  local function check_damaged(shard, told)
    local stock = load_stock(shard, told.sku)
    local damaged = count_of(stock, told.warehouse, 'd')
    if damaged >= 0 then return nil end
    if told.mode ~= 'force' then return 'INSUFFICIENT_DAMAGED' end
    move(shard, stock, told.warehouse, 'a', 'd', -damaged, '"fewer were damaged"')
    told.odd = '"fewer were damaged"'
    return nil
  end

  local function describe_document(told, event)
    if told.lock and told.changes then
      event.lock_id, event.lock = told.lock.id, encode_changes(told.changes)
    elseif told.transfer and told.changes then
      told.changes = { s = transfer_status(told.lines), v = told.transfer.v + 1, n = encode_transfer_lines(told.lines) }
      if told.implied then told.changes.i = encode_implied(told.implied) end
      event.document = transfer_document(told.transfer.id, told.changes)
    end
  end

  local function write_document(shard, told)
    if told.lock and told.changes then
      write_lock(shard, told.lock, told.changes)
    elseif told.transfer and told.changes then
      write_transfer(shard, told.transfer, told.changes)
    end
  end

  -- It waits, and those behind it do not: nothing that was staged stays, its place in the sequence is taken.
  local function wait(shard, told, outcome)
    shard.moves, shard.loaded, shard.stocks = {}, {}, {}
    local answer = set_aside(shard, told, outcome, { kind = 'hold' })
    if outcome == 'INSUFFICIENT_DAMAGED' and answer[1] == outcome then answer[3] = '[]' end
    return answer
  end

  local function book_fact(shard, told)
    local event = { kind = told.kind, op = told.op, fingerprint = told.fingerprint }
    local refusal = FACTS[told.kind](shard, told, event) or check_damaged(shard, told)
    if not refusal and not counts_fit(shard) then refusal = 'QUANTITY_TOO_LARGE' end
    if refusal then return wait(shard, told, refusal) end
    describe_document(told, event)
    event.reason = told.odd
    local position = keep(shard, told, event, ids_of(told))
    if not position then return { 'NOT_READY', told.op } end
    write_document(shard, told)
    return { 'BOOKED', told.op, position, told.odd and cjson.decode('[' .. told.odd .. ']')[1] or '' }
  end

  fact = function(keys, args)
    local shard, refusal = enter(keys, args)
    if refusal then return refusal end
    local told = read_fact(args)
    if not told then return { 'INVALID_ARGUMENT', args[3] or '' } end
    local known = load_op(shard, told.op)
    if known then
      return { known.fingerprint == told.fingerprint and 'REPEATED' or 'ID_REUSED', told.op, known.position }
    end
    local event = { kind = 'told', op = told.op, fingerprint = told.fingerprint }
    local is_in_turn = is_next(shard, told)
    if told.mode == 'drop' then
      event.kind, event.reason = 'drop', told.odd
      return set_aside(shard, told, 'DROPPED', event)
    end
    if not is_in_turn and told.mode ~= 'force' and told.mode ~= 'pass' then return { 'EARLY', told.op } end
    if told.mode == 'hold' or told.mode == 'pass' then return set_aside(shard, told, 'HELD', { kind = 'hold' }) end
    load_document(shard, told)
    local before, position = told_before(shard, told)
    if before == 'OTHER_CONTENT' then
      if told.mode ~= 'force' then return wait(shard, told, before) end
      before, told.id = nil, '' -- a person says that it is another one
    end
    if before then
      position = keep(shard, told, event, {})
      return position and { 'REPEATED', told.op, position } or { 'NOT_READY', told.op }
    end
    return book_fact(shard, told)
  end
end

register('fact', fact, { 'allow-oom' })
