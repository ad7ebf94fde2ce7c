-- fact: one event of a warehouse system. A fact is never refused: it waits (the answers that book nothing), or it
-- is booked, what its document does not cover beside it. One that waits for its document or a person holds up no other.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 op (of source and event_id)  4 fingerprint  5 occurred_at in ms
--       6 received, shipped, returned, adjusted, regraded, transfer_shipped or transfer_received  7 warehouse  8 sku
--       9 units (of an adjustment with its sign)  10 damaged  11 lost  12 `a` or `d`: what was returned or adjusted, or was before it was regraded
--       13 id of the lock, transfer or purchase order ('' for none)
--       14 op of the document that it reports, as a route has it ('' for none)  15 fingerprint of what it says there
--       16 source  17 sequence ('' for none)
--       18 '' or `force` (book it whatever is missing), `hold` (in its turn let those behind it
--       pass), `pass` (let them pass now), `drop` (never book it)
--       19 reason as JSON ('' for none)  20 what is odd about it, or why it is dropped, as JSON ('' for nothing)
--       21 reporter  22 family of the document that it reports, 23 the document in it ('' for none)
--       24 id of its line in the document ('' for none)  25 `totals` if it says all that is known of its line, else ''
-- Event receive, deduct, return, adjust, transfer_ship, transfer_receive as those of the routes; regrade, moves
--   available -> damaged, damaged -> available; told (all of it was booked, or waits for a person), hold, drop: without moves. Each carries the ids it is known by, and its place in the sequence.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT, REPEATED (also if
--   others reported all of it), ID_REUSED, EARLY (others come before it in the sequence), HELD, OTHER_CONTENT
--   (its line was used with other content), UNKNOWN_LOCK, UNKNOWN_TRANSFER, INSUFFICIENT_DAMAGED, QUANTITY_TOO_LARGE,
--   BOOKED: {outcome, op, position, what is odd about it}, DISPUTED (other reporters say otherwise: some of it waits for a
--   person), DROPPED.

local fact

do
  local KINDS = {
    received = 'receive', shipped = 'deduct', returned = 'return', adjusted = 'adjust', regraded = 'regrade',
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
      odd = args[20] ~= '' and args[20] or nil, reporter = args[21], family = args[22], part = args[23],
      line_id = args[24], totals = args[25] == 'totals',
    }
    local numbers = told.at and told.units and told.damaged and told.lost and (told.sequence or args[17] == '')
    local words = told.kind and MODES[told.mode] and (told.state == 'a' or told.state == 'd')
    if not numbers or not words or told.op == '' or told.sku == '' or told.warehouse == '' or not args[25] then return nil end
    return told
  end

  local is_next, keep, set_aside

  do
    -- The event's place in its sequence

    -- {tag}sequences:<source>: per warehouse the number of its last event.
    local function sequences_key(shard, told)
      return shard.tag .. 'sequences:' .. told.source
    end

    is_next = function(shard, told)
      if not told.sequence then return true end
      told.last = tonumber(redis.call('HGET', sequences_key(shard, told), told.warehouse) or '0')
      return told.sequence <= told.last + 1
    end

    -- Commits what an event came to: its event, its ids, its place in the sequence.
    keep = function(shard, told, event, ids)
      local parts, sequence = {}, 'null'
      for i, id in ipairs(ids) do parts[i] = table.concat({ '["', id[1], '","', id[2], '","', id[3], '"]' }) end
      if told.sequence and told.sequence > told.last then
        sequence = table.concat({ '["', told.source, '","', told.warehouse, '",', told.sequence, ']' })
      end
      event.told = table.concat({ '[[', table.concat(parts, ','), '],', sequence, ']' })
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

    set_aside = function(shard, told, outcome, event)
      if told.last and told.sequence > told.last + 1 and told.mode ~= 'pass' then
        told.sequence = nil -- those before it are still to come
      end
      if not event.op and not (told.sequence and told.sequence > told.last) then return { outcome, told.op, '' } end
      local position = keep(shard, told, event, {})
      return position and { outcome, told.op, position } or { 'NOT_READY', told.op }
    end
  end

  local load_document, told_before

  do
    -- The document that it is about

    load_document = function(shard, told)
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

    -- REPEATED or OTHER_CONTENT if another event, or a route, told an older version of the same document and SKU.
    told_before = function(shard, told)
      if told.id == '' or (told.family ~= '' and knows_family(shard, told.family)) then return nil end
      if not OUTSIDE[told.kind] and not told.lock and not told.transfer then return nil end
      if told.kind == 'receive' and told.document == '' then return nil end
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
  end

  local added_by, ids_of

  do
    -- The line of its document that it is, as its reporter counts them; nil if only its event_id sets it apart.
    local function line_op(told)
      if told.family == '' or (told.line_id == '' and not told.totals) then return nil end
      return table.concat({
        'line:', told.family, '{', told.part, '{', told.sku, '{', told.warehouse, '{', told.reporter, '{', told.line_id, '{', told.state,
      })
    end

    local function text_of_line(told, said)
      return table.concat({ said[1], said[2], said[3], told.at }, ' ')
    end

    -- What its line said before: {units}, when; nil if nothing did.
    local function line_before(shard, told)
      local known = line_op(told) and load_op(shard, line_op(told))
      if not known then return nil end
      local good, damaged, lost, at = string.match(known.answer, '^(%-?%d+) (%-?%d+) (%-?%d+) (%d+)$')
      return { tonumber(good), tonumber(damaged), tonumber(lost) }, tonumber(at), known
    end

    -- The units that it adds to what its reporter has said of its document; false if its line was used otherwise.
    -- Of totals the later word counts, whichever comes first.
    added_by = function(shard, told, said)
      local before, at, known = line_before(shard, told)
      if not before then return said end
      if not told.totals then return known.fingerprint == told.id_fingerprint and { 0, 0, 0 } end
      if told.at < at or (told.at == at and known.fingerprint > told.id_fingerprint) then
        told.is_older = true
        return { 0, 0, 0 }
      end
      return { said[1] - before[1], said[2] - before[2], said[3] - before[3] }
    end

    ids_of = function(told, said)
      local op = line_op(told)
      if not op or told.is_older then return {} end
      return { { op, told.id_fingerprint, text_of_line(told, said) } }
    end
  end

  -- What each type comes to: staged moves, and of the event its lock or document. Or a refusal.

  local function book_move(shard, told, source, target, units)
    if units == 0 then return end
    local stock = load_stock(shard, told.sku, told.warehouse)
    fact_move(shard, stock, told.warehouse, source, target, units, told.reason, nil, told.at)
  end

  local FACTS = {}

  -- What it says of its SKU: good, damaged and lost units; of an adjustment with their sign.
  local function said_by(told)
    if told.kind == 'return' or told.kind == 'adjust' then
      local units = told.gone and -told.units or told.units
      return told.state == 'd' and { 0, units, 0 } or { units, 0, 0 }
    end
    return { told.units, told.damaged, told.lost }
  end

  -- Its document, in the sums of its family: what it adds; nil if it reports no document, false if its line was used.
  local function claim_of(shard, told)
    if told.family == '' then return nil end
    told.said = said_by(told)
    local added = added_by(shard, told, told.said)
    if not added and told.mode ~= 'force' then return false end
    if not added then added, told.line_id = told.said, '' end -- a person says that it is another line
    told.sums_of = load_family(shard, told.family, { told.sku })
    told.sums = sums_to_change(told.sums_of, told.sku)
    claim_units(told.sums, told.part, told.warehouse, told.reporter, added)
    return added
  end

  local function book_alone(shard, told)
    for state, units in ipairs(said_by(told)) do
      if units > 0 then book_move(shard, told, OUTSIDE[told.kind], SHELVES_OF_UNITS[state], units) end
      if units < 0 then book_move(shard, told, SHELVES_OF_UNITS[state], OUTSIDE[told.kind], -units) end
    end
    return told.units
  end

  -- Books what came in, came back or was adjusted; returns how many units that is more, or nil and a refusal.
  local function book_of(shard, told)
    local added = claim_of(shard, told)
    if added == nil then return book_alone(shard, told) end
    if not added then return nil, 'OTHER_CONTENT' end
    local stock = load_stock(shard, told.sku, told.warehouse)
    return book_claims(shard, told.kind, told.sums, stock, told.part, told.warehouse, added, told.at, told.reason)
  end

  function FACTS.receive(shard, told, event)
    local _, refusal = book_of(shard, told)
    if told.document ~= '' then event.document = '["purchase_order","' .. told.document .. '",{}]' end
    return refusal
  end

  local function ship_of_lock(shard, told)
    local added = claim_of(shard, told)
    if not added then return 'OTHER_CONTENT' end
    local order, stock = order_of(told.lock), load_stock(shard, told.sku, told.warehouse)
    local changes = ship_claims(shard, order, told.sums, stock, told.at)
    note_places(shard, stock, told.sums, { { told.warehouse, added[1] } }, changes, told.at)
    if #changes == 0 then return end
    told.changes = changes_of_order(order)
    keep_original(told.lock, told.changes, order.same)
    if order.elsewhere then told.odd = '"from another warehouse"' end
    if order.beyond then told.odd = '"beyond its lock"' end
  end

  function FACTS.deduct(shard, told, event)
    if told.document ~= '' and not told.lock and told.mode ~= 'force' then return 'UNKNOWN_LOCK' end
    if told.lock then return ship_of_lock(shard, told) end
    told.family = ''
    book_move(shard, told, 'a', 'c', told.units)
    told.odd = told.document ~= '' and '"unknown lock"' or '"without a lock"'
  end

  -- What the lock's record says once these units came back, which may be before they are known to have shipped.
  local function returned_of(told, units)
    local parts, found, shipped = {}, false, 0
    for _, line in ipairs(decode_lines(told.lock.n)) do
      if line.sku == told.sku then shipped = shipped + line.deducted end
    end
    for _, known in ipairs(told.lock.r and cjson.decode(told.lock.r) or {}) do
      if known[1] == told.sku then found, known[2] = true, known[2] + units end
      if known[1] == told.sku and known[2] > shipped then told.odd = '"more than was shipped"' end
      parts[#parts + 1] = '["' .. known[1] .. '",' .. known[2] .. ']'
    end
    if not found then
      parts[#parts + 1] = '["' .. told.sku .. '",' .. units .. ']'
      if units > shipped then told.odd = '"more than was shipped"' end
    end
    return { r = '[' .. table.concat(parts, ',') .. ']' } -- no answer shows it: the version stays
  end

  FACTS['return'] = function(shard, told)
    if told.document ~= '' and not told.lock then
      if told.mode ~= 'force' then return 'UNKNOWN_LOCK' end
      told.odd = told.odd or '"unknown lock"'
    end
    local more, refusal = book_of(shard, told)
    if refusal then return refusal end
    if told.lock and more ~= 0 then told.changes = returned_of(told, more) end
  end

  function FACTS.adjust(shard, told)
    local _, refusal = book_of(shard, told)
    return refusal
  end

  function FACTS.regrade(shard, told)
    book_move(shard, told, told.state, told.state == 'a' and 'd' or 'a', told.units)
  end

  local function beyond_transfer(told)
    told.odd = told.transfer and '"beyond its transfer"' or told.document ~= '' and '"unknown transfer"' or '"without a transfer"'
  end

  -- The line of the transfer that it is about, if it happened where the transfer says.
  local function carried_line(told, warehouse)
    if not told.transfer or warehouse ~= told.warehouse then return nil end
    told.carriage = carriage_of(told.transfer)
    return carried(told.carriage, told.sku)
  end

  function FACTS.transfer_ship(shard, told)
    if told.document ~= '' and not told.transfer and told.mode ~= 'force' then return 'UNKNOWN_TRANSFER' end
    local line = carried_line(told, told.transfer and told.transfer.a)
    if not line then
      told.family = ''
      book_move(shard, told, 'a', 'j', told.units)
      return beyond_transfer(told)
    end
    local added = claim_of(shard, told)
    if not added then return 'OTHER_CONTENT' end
    local stock = load_stock(shard, told.sku, told.warehouse)
    if ship_carried(shard, told.carriage, told.sums, line, stock, added[1], told.at, told.reason) > 0 then beyond_transfer(told) end
  end

  function FACTS.transfer_receive(shard, told)
    if told.document ~= '' and not told.transfer and told.mode ~= 'force' then return 'UNKNOWN_TRANSFER' end
    local line = carried_line(told, told.transfer and told.transfer.b)
    if not line then
      told.family = ''
      book_move(shard, told, 'j', 'a', told.units)
      book_move(shard, told, 'j', 'd', told.damaged)
      return beyond_transfer(told)
    end
    local added = claim_of(shard, told)
    if not added then return 'OTHER_CONTENT' end
    local stock = load_stock(shard, told.sku, told.warehouse)
    local beyond = receive_carried(shard, told.carriage, told.sums, line, stock, told.part, added, told.at, told.reason)
    if beyond > 0 then beyond_transfer(told) end
  end

  -- Damaged units never go below zero: those that were not damaged are missing from the others.
  local function check_damaged(shard, told)
    local stock = load_stock(shard, told.sku, told.warehouse)
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
    elseif told.carriage and told.carriage.changed then
      told.changes = changes_of_carriage(told.carriage)
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

  local SHIPPED = { deduct = true, transfer_ship = true }

  local function is_settled(told, sums)
    return is_accounted_for(sums, told.part, told.warehouse, told.reporter, SHIPPED[told.kind])
  end

  -- The answer to an event that changed nothing.
  local function unmoved(told, position)
    local settled = not told.sums or is_settled(told, told.sums)
    return { settled and 'REPEATED' or 'DISPUTED', told.op, position }
  end

  local function book_fact(shard, told)
    local event = { kind = told.kind, op = told.op, fingerprint = told.fingerprint }
    local refusal = FACTS[told.kind](shard, told, event) or check_damaged(shard, told)
    if not refusal and not counts_fit(shard) then refusal = 'QUANTITY_TOO_LARGE' end
    if refusal then return wait(shard, told, refusal) end
    local moved = #shard.moves > 0 or (told.carriage and told.carriage.changed)
    if not moved then event.kind = 'told' end
    describe_document(told, event)
    event.reason, event.family = told.odd, told.sums_of
    local position = keep(shard, told, event, told.said and ids_of(told, told.said) or {})
    if not position then return { 'NOT_READY', told.op } end
    write_document(shard, told)
    -- A time that was only made known changes no units.
    if told.sums and not (told.sums.changed and is_settled(told, told.sums)) then return unmoved(told, position) end
    return { 'BOOKED', told.op, position, told.odd and cjson.decode('[' .. told.odd .. ']')[1] or '' }
  end

  -- What an event that is known answers: what it said may still wait for a person.
  local function again(shard, told, known)
    if known.fingerprint ~= told.fingerprint then return { 'ID_REUSED', told.op, known.position } end
    if told.family ~= '' then told.sums = sums_of(load_family(shard, told.family, { told.sku }), told.sku) end
    return unmoved(told, known.position)
  end

  fact = function(keys, args)
    local shard, refusal = enter(keys, args)
    if refusal then return refusal end
    local told = read_fact(args)
    if not told then return { 'INVALID_ARGUMENT', args[3] or '' } end
    local known = load_op(shard, told.op)
    if known then return again(shard, told, known) end
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
