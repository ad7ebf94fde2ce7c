-- Documents: a shipment, receipt, return or adjustment counts once, whoever reports it. What is booked is a pure function
-- of the reporters' sums; app/domain/documents.py is the same in Python and says what each part is for.
--
-- {tag}document:<family>: per SKU its sums as JSON, all SKUs of the family or none:
--   [[[document, warehouse, reporter, good, damaged, lost], …], [[document, warehouse, good, damaged, lost], …],
--    [[document, warehouse, state, units, when it was assumed to be in ms], …], the reporter that leads, units beyond]
--   the claims in the order in which they were first heard, what is booked, and what of that has an assumed time.
-- Families: deduct:<lock_id>, transfer_ship:<transfer_id>, transfer_receive:<transfer_id>,
--   receipt:<purchase order>{<receipt> (without an order receipt:{<reporter>{<receipt>, receipt:<receipt> for the routes),
--   return:<id>, adjustment:<id>.

local ROUTE = 'route'
local load_family, load_whole_family, sums_to_change, claim_units, rebook, note_times, assume_time
local new_claim, ship_only_claim, unship_only_claim
local arrivals_to_book, shipments_to_book, is_accounted_for, greatest_place, said_in_all, knows_family

local function document_key(shard, family)
  return shard.tag .. 'document:' .. family
end

do

  local function new_sums()
    return { claims = {}, booked = {}, assumed = {}, lead = '', beyond = 0 }
  end

  local function units_at(row, first)
    return { row[first], row[first + 1], row[first + 2] }
  end

  local function decode_sums(text)
    local value, sums = cjson.decode(text), new_sums()
    for i, row in ipairs(value[1]) do
      sums.claims[i] = { document = row[1], warehouse = row[2], reporter = row[3], units = units_at(row, 4) }
    end
    for i, row in ipairs(value[2]) do sums.booked[i] = { document = row[1], warehouse = row[2], units = units_at(row, 3) } end
    for i, row in ipairs(value[3]) do
      sums.assumed[i] = { document = row[1], warehouse = row[2], state = row[3], units = row[4], at = row[5] }
    end
    sums.lead, sums.beyond = value[4], value[5]
    return sums
  end

  -- A document of thousands of lines says thousands of sums: so each row is put together in one go.
  local function encode_sums(sums)
    local claims, booked, assumed = {}, {}, {}
    for i, row in ipairs(sums.claims) do
      local units = row.units
      claims[i] = '["' .. row.document .. '","' .. row.warehouse .. '","' .. row.reporter .. '",' .. text_of(units[1]) .. ','
        .. text_of(units[2]) .. ',' .. text_of(units[3]) .. ']'
    end
    for i, row in ipairs(sums.booked) do
      local units = row.units
      booked[i] = '["' .. row.document .. '","' .. row.warehouse .. '",' .. text_of(units[1]) .. ',' .. text_of(units[2]) .. ','
        .. text_of(units[3]) .. ']'
    end
    for i, row in ipairs(sums.assumed) do
      assumed[i] = '["' .. row.document .. '","' .. row.warehouse .. '",' .. row.state .. ',' .. text_of(row.units) .. ','
        .. text_of(row.at) .. ']'
    end
    return '[[' .. table.concat(claims, ',') .. '],[' .. table.concat(booked, ',') .. '],[' .. table.concat(assumed, ',')
      .. '],"' .. sums.lead .. '",' .. text_of(sums.beyond) .. ']'
  end

  -- The sums of SKUs of a family, as staged: {sku -> sums}. `texts`: those that are new and will not be looked at again, as
  -- the JSON that is written: a document of thousands of lines has no time for more.
  load_family = function(shard, family, skus)
    local loaded = { name = family, sums = {}, touched = {}, texts = {} }
    local key = document_key(shard, family)
    for first = 1, #skus, UNPACK_MAX do
      local last = math.min(first + UNPACK_MAX - 1, #skus)
      for i, text in ipairs(redis.call('HMGET', key, unpack(skus, first, last))) do
        if text then loaded.sums[skus[first + i - 1]] = decode_sums(text) end
      end
    end
    return loaded
  end

  -- All SKUs of a family.
  load_whole_family = function(shard, family)
    local loaded = { name = family, sums = {}, touched = {}, texts = {} }
    local got = redis.call('HGETALL', document_key(shard, family))
    for i = 1, #got, 2 do loaded.sums[got[i]] = decode_sums(got[i + 1]) end
    return loaded
  end

  -- Whether anything of a family is remembered.
  knows_family = function(shard, family)
    return redis.call('HLEN', document_key(shard, family)) > 0
  end

  -- A SKU's sums, to be changed: they are written with the event.
  sums_to_change = function(family, sku)
    local text = family.texts[sku]
    if text then
      family.sums[sku], family.texts[sku] = decode_sums(text), nil
    elseif not family.sums[sku] then
      family.sums[sku] = new_sums()
    end
    if not family.touched[sku] then
      family.touched[sku] = true
      family.touched[#family.touched + 1] = sku
    end
    return family.sums[sku]
  end

  -- A SKU's sums are what a route says of it now, and nobody has said anything before. `units`: good and damaged ones as JSON
  -- ('' if it says nothing); `assumed`: the rows of assumed times as JSON.
  new_claim = function(family, sku, document, warehouse, units, assumed)
    local claim, booked = '', ''
    if units ~= '' then claim = '["' .. document .. '","' .. warehouse .. '","' .. ROUTE .. '",' .. units .. ',0]' end
    if units ~= '' and units ~= '0,0' then booked = '["","' .. warehouse .. '",' .. units .. ',0]' end
    family.texts[sku], family.touched[sku] = '[[' .. claim .. '],[' .. booked .. '],[' .. assumed .. '],"",0]', true
    family.touched[#family.touched + 1] = sku
  end

  -- The family's part of an event, and what to write: [family, {sku: sums, …}]; nil if nothing of it changed.
  describe_family = function(family)
    if #family.touched == 0 then return nil end
    local parts = {}
    family.set = {}
    for i, sku in ipairs(family.touched) do
      local text = family.texts[sku] or encode_sums(family.sums[sku])
      parts[i] = '"' .. sku .. '":' .. text
      family.set[2 * i - 1], family.set[2 * i] = sku, text
    end
    return '["' .. family.name .. '",{' .. table.concat(parts, ',') .. '}]'
  end

  write_family = function(shard, family)
    call_with('HSET', document_key(shard, family.name), family.set)
  end

  local function is_nothing(units)
    return units[1] == 0 and units[2] == 0 and units[3] == 0
  end

  local function total_of(units)
    return units[1] + units[2] + units[3]
  end

  local function add_units(units, more, sign)
    for i = 1, 3 do units[i] = units[i] + sign * more[i] end
  end

  -- Rows of sums are few, and looked through; of one SKU in many warehouses, or in many shipments, they are indexed.
  local LOOKED_THROUGH_MAX = 8

  local function find_claim(sums, document, warehouse, reporter)
    local claims = sums.claims
    if #claims <= LOOKED_THROUGH_MAX then
      for _, claim in ipairs(claims) do
        if claim.document == document and claim.warehouse == warehouse and claim.reporter == reporter then return claim end
      end
      return nil
    end
    local index = sums.claim_of or { count = 0 }
    sums.claim_of = index
    for i = index.count + 1, #claims do
      local claim = claims[i]
      index[claim.document .. '\n' .. claim.warehouse .. '\n' .. claim.reporter] = claim
    end
    index.count = #claims
    return index[document .. '\n' .. warehouse .. '\n' .. reporter]
  end

  -- Adds what a reporter says to what it has said before.
  claim_units = function(sums, document, warehouse, reporter, units)
    local claim = find_claim(sums, document, warehouse, reporter)
    if claim then return add_units(claim.units, units, 1) end
    if is_nothing(units) then return end
    sums.claims[#sums.claims + 1] =
      { document = document, warehouse = warehouse, reporter = reporter, units = { units[1], units[2], units[3] } }
  end

  -- What of a document in a warehouse is booked.
  local function booked_there(sums, document, warehouse)
    local units = { 0, 0, 0 }
    for _, one in ipairs(sums.booked) do
      if one.document == document and one.warehouse == warehouse then add_units(units, one.units, 1) end
    end
    return units
  end

  local function is_part(units, whole)
    for i = 1, 3 do
      if not ((units[i] >= 0 and units[i] <= whole[i]) or (units[i] <= 0 and units[i] >= whole[i])) then return false end
    end
    return true
  end

  -- What comes in, and adjustments

  local function is_part_of_another(units, said)
    for _, other in ipairs(said) do
      local same = other[1] == units[1] and other[2] == units[2] and other[3] == units[3]
      if not same and is_part(units, other) then return true end
    end
    return false
  end

  -- The first reporter's sum, unless one says that units left: then that of which the most did.
  local function chosen_of(said)
    local chosen
    for _, units in ipairs(said) do
      local left = total_of(units)
      if left < 0 and (not chosen or left < total_of(chosen)) and not is_part_of_another(units, said) then chosen = units end
    end
    return chosen or said[1]
  end

  -- What is to be booked of what came in, and of adjustments: [{document, warehouse, units}, …].
  arrivals_to_book = function(claims, lead)
    local lines, index, booked = {}, {}, {}
    for _, claim in ipairs(claims) do
      local name = claim.document .. '\n' .. claim.warehouse
      if not index[name] then
        index[name] = { document = claim.document, warehouse = claim.warehouse, said = {} }
        lines[#lines + 1] = index[name]
      end
      local said = index[name].said
      table.insert(said, claim.reporter == lead and 1 or #said + 1, claim.units)
    end
    for _, line in ipairs(lines) do
      local units = chosen_of(line.said)
      if not is_nothing(units) then
        booked[#booked + 1] = { document = line.document, warehouse = line.warehouse, units = { units[1], units[2], units[3] } }
      end
    end
    return booked
  end

  -- What goes out

  -- {names in order, by name: {warehouses in order, by warehouse: units, total}}
  local function add_place(sums, name, warehouse, units)
    local places = sums[name]
    if not places then
      places = { of = {}, total = 0 }
      sums[name] = places
      sums[#sums + 1] = name
    end
    if not places.of[warehouse] then places[#places + 1] = warehouse end
    places.of[warehouse] = (places.of[warehouse] or 0) + units
    places.total = places.total + units
  end

  -- The greatest sum; of equal ones that of the reporter that leads, or was first.
  local function greatest_of(said, lead)
    local greatest = said[lead]
    for _, name in ipairs(said) do
      if not greatest or said[name].total > greatest.total then greatest = said[name] end
    end
    return greatest
  end

  -- The first so many units of some documents.
  local function up_to(documents, units_max)
    local found = {}
    for i, places in ipairs(documents) do
      local kept = { of = {}, total = 0 }
      for k, warehouse in ipairs(places) do
        local units = math.min(places.of[warehouse], units_max)
        kept[k], kept.of[warehouse], units_max = warehouse, units, units_max - units
      end
      found[i] = kept
    end
    return found
  end

  -- The greatest sum, if all say it of one document in one warehouse, as most do; else nil.
  local function most_of_one(claims)
    local first = claims[1]
    local most = first and first.units[1]
    for i = 2, #claims do
      local claim = claims[i]
      if claim.document ~= first.document or claim.warehouse ~= first.warehouse then return nil end
      most = math.max(most, claim.units[1])
    end
    return most
  end

  -- What is to be booked of shipments, of which so many units were promised: [{document = '', warehouse, units}, …].
  shipments_to_book = function(claims, lead, promised)
    local most = most_of_one(claims)
    if most then
      return most ~= 0 and { { document = '', warehouse = claims[1].warehouse, units = { most, 0, 0 } } } or {}
    end
    local documents, reporters, warehouses, sums = {}, {}, {}, {}
    for _, claim in ipairs(claims) do
      if not documents[claim.document] then
        documents[claim.document] = {}
        documents[#documents + 1] = documents[claim.document]
      end
      add_place(documents[claim.document], claim.reporter, claim.warehouse, claim.units[1])
      add_place(reporters, claim.reporter, claim.warehouse, claim.units[1])
      if not sums[claim.warehouse] then warehouses[#warehouses + 1] = claim.warehouse end
      sums[claim.warehouse] = 0
    end
    local greatest, total = {}, 0
    for i, said in ipairs(documents) do
      greatest[i] = greatest_of(said, lead)
      total = total + greatest[i].total
    end
    if total > promised then
      local said = greatest_of(reporters, lead)
      greatest = said.total >= promised and { said } or up_to(greatest, promised)
    end
    for _, places in ipairs(greatest) do
      for _, warehouse in ipairs(places) do sums[warehouse] = sums[warehouse] + places.of[warehouse] end
    end
    local booked = {}
    for _, warehouse in ipairs(warehouses) do
      if sums[warehouse] ~= 0 then
        booked[#booked + 1] = { document = '', warehouse = warehouse, units = { sums[warehouse], 0, 0 } }
      end
    end
    return booked
  end

  -- What is to change

  -- Sets what is booked, and returns by how much that differs from before: [{document, warehouse, units}, …], in the order of
  -- the claims; what becomes less comes first.
  rebook = function(sums, booked)
    local before = { booked = sums.booked }
    sums.booked = booked
    local old, new = before.booked[1], booked[1]
    local one_place = not old or not new or (old.document == new.document and old.warehouse == new.warehouse)
    if #before.booked <= 1 and #booked <= 1 and one_place then
      local place, units = new or old, { 0, 0, 0 }
      if new then add_units(units, new.units, 1) end
      if old then add_units(units, old.units, -1) end
      if is_nothing(units) then return {} end
      sums.changed = true
      return { { document = place.document, warehouse = place.warehouse, units = units } }
    end
    local less, more, seen = {}, {}, {}
    local function note(document, warehouse)
      local name = document .. '\n' .. warehouse
      if seen[name] then return end
      seen[name] = true
      local units = booked_there(sums, document, warehouse)
      add_units(units, booked_there(before, document, warehouse), -1)
      if is_nothing(units) then return end
      local one = { document = document, warehouse = warehouse, units = units }
      if total_of(units) < 0 then less[#less + 1] = one else more[#more + 1] = one end
    end
    for _, one in ipairs(before.booked) do note(one.document, one.warehouse) end
    for _, one in ipairs(booked) do note(one.document, one.warehouse) end
    for _, one in ipairs(more) do less[#less + 1] = one end
    sums.changed = sums.changed or #less > 0
    return less
  end

  local take_assumed

  -- The row of what is booked of shipments from a warehouse, or nil.
  local function find_booked(sums, warehouse)
    local booked = sums.booked
    if #booked <= LOOKED_THROUGH_MAX then
      for _, one in ipairs(booked) do
        if one.warehouse == warehouse then return one end
      end
      return nil
    end
    local index = sums.booked_of
    if not index or index.rows ~= booked then
      index = { rows = booked, count = 0, of = {} }
      sums.booked_of = index
    end
    for i = index.count + 1, #booked do index.of[booked[i].warehouse] = booked[i] end
    index.count = #booked
    return index.of[warehouse]
  end

  -- Claims and books units of a SKU whose shipments nobody but the routes has reported: all that they say is booked. `at`:
  -- when that was, if nobody has said so.
  ship_only_claim = function(family, sku, document, warehouse, quantity, at)
    if not family.sums[sku] and not family.texts[sku] then
      local units = text_of(quantity)
      local assumed = at and ('["","' .. warehouse .. '",1,' .. units .. ',' .. text_of(at) .. ']') or ''
      return new_claim(family, sku, document, warehouse, units .. ',0', assumed)
    end
    local sums = sums_to_change(family, sku)
    local claims, booked = #sums.claims, find_booked(sums, warehouse)
    claim_units(sums, document, warehouse, ROUTE, { quantity, 0, 0 })
    if booked then
      booked.units[1] = booked.units[1] + quantity
    elseif #sums.booked == claims then -- each claim has a row, in their order
      sums.booked[claims + 1] = { document = '', warehouse = warehouse, units = { quantity, 0, 0 } }
    else
      rebook(sums, shipments_to_book(sums.claims, sums.lead, math.huge))
    end
    sums.changed = true
    if at then assume_time(sums, '', warehouse, 1, quantity, at) end
  end

  -- Takes such a claim back; false if it is not the routes' alone, or not of so many units, and nothing is taken back.
  unship_only_claim = function(sums, document, warehouse, quantity)
    for _, claim in ipairs(sums.claims) do
      if claim.reporter ~= ROUTE or (claim.document == document and claim.warehouse ~= warehouse) then return false end
    end
    local claim, booked = find_claim(sums, document, warehouse, ROUTE), find_booked(sums, warehouse)
    if not claim or claim.units[1] ~= quantity or not booked or booked.units[1] < quantity then return false end
    claim.units[1], booked.units[1], sums.changed = 0, booked.units[1] - quantity, true
    if booked.units[1] == 0 then
      local kept = {}
      for _, one in ipairs(sums.booked) do
        if one ~= booked then kept[#kept + 1] = one end
      end
      sums.booked = kept
    end
    take_assumed(sums, '', warehouse, 1, quantity)
    return true
  end

  -- Whether all that a reporter says of a document in a warehouse is booked, by whoever's word.
  is_accounted_for = function(sums, document, warehouse, reporter, shipped)
    local said = { 0, 0, 0 }
    for _, claim in ipairs(sums.claims) do
      local its = shipped or claim.document == document
      if its and claim.warehouse == warehouse and claim.reporter == reporter then add_units(said, claim.units, 1) end
    end
    local booked = booked_there(sums, shipped and '' or document, warehouse)
    if math.min(said[1], said[2], said[3], booked[1], booked[2], booked[3]) < 0 then return is_part(said, booked) end
    return total_of(said) <= total_of(booked)
  end

  -- Times

  local SHELF_OF_STATE = { 'a', 'd' }

  -- Units that were booked now because nobody had said when they moved.
  assume_time = function(sums, document, warehouse, state, units, at)
    if units > 0 then
      sums.assumed[#sums.assumed + 1] = { document = document, warehouse = warehouse, state = state, units = units, at = at }
    end
  end

  -- Takes units of an assumed time out of the sums: [{units, at}, …].
  take_assumed = function(sums, document, warehouse, state, units)
    local kept, found = {}, {}
    for _, one in ipairs(sums.assumed) do
      local its = one.document == document and one.warehouse == warehouse and one.state == state
      local some = its and math.min(units, one.units) or 0
      if some > 0 then
        found[#found + 1] = { units = some, at = one.at }
        units, one.units = units - some, one.units - some
      end
      if one.units > 0 then kept[#kept + 1] = one end
    end
    sums.assumed = kept
    return found
  end

  -- A time was given for units that had an assumed one: what was counted in between must stand. `gone`: they left.
  local function redate(shard, stock, sums, document, warehouse, state, units, at, gone)
    local shelf = SHELF_OF_STATE[state]
    if not shelf or units <= 0 then return end
    for _, one in ipairs(take_assumed(sums, document, warehouse, state, units)) do
      if one.at ~= at then
        local source, target = 'j', shelf
        if gone then source, target = shelf, 'j' end
        fact_move(shard, stock, warehouse, source, target, one.units, '"time known"', nil, at)
        local reason = '"time known",null,null,' .. string.format('%d', one.at)
        fact_move(shard, stock, warehouse, target, source, one.units, reason, nil, one.at)
      end
    end
  end

  -- What a reporter has said now, by state, and by how much what is booked there has changed: keeps the assumed times.
  -- `at`: when it happened, if it was said. `gone`: units that left have no sign.
  note_times = function(shard, stock, sums, document, warehouse, said, change, at, gone)
    for state = 1, 3 do
      local units, moved = said[state], change[state]
      local new = units * moved > 0 and math.min(math.abs(units), math.abs(moved)) or 0
      if moved ~= 0 and units * moved <= 0 then take_assumed(sums, document, warehouse, state, math.abs(moved)) end
      if at then
        redate(shard, stock, sums, document, warehouse, state, math.abs(units) - new, at, gone or units < 0)
      else
        assume_time(sums, document, warehouse, state, new, shard.now)
      end
    end
  end

  -- The greatest that others than a reporter say of a document: {warehouses in order, of = {warehouse -> units}}, or nil.
  greatest_place = function(sums, document, reporter)
    local said = {}
    for _, claim in ipairs(sums.claims) do
      if claim.document == document and claim.reporter ~= reporter then
        add_place(said, claim.reporter, claim.warehouse, claim.units[1])
      end
    end
    return #said > 0 and greatest_of(said, sums.lead) or nil
  end

  -- What a reporter says of a document (nil: of all) in all warehouses or one; and whether it says anything.
  said_in_all = function(sums, document, reporter, warehouse)
    local units, any = { 0, 0, 0 }, false
    for _, claim in ipairs(sums.claims) do
      local its = (not document or claim.document == document) and (not warehouse or claim.warehouse == warehouse)
      if its and claim.reporter == reporter then
        add_units(units, claim.units, 1)
        any = true
      end
    end
    return units, any
  end
end
