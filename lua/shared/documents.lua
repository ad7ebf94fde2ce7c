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
local load_family, load_whole_family, sums_of, sums_to_change, said_by_route, is_reported
local claim_units, rebook, note_times, note_places, assume_time
local new_claim, ship_only_claim, unship_only_claim
local arrivals_to_book, shipments_to_book, is_accounted_for, greatest_place, said_in_all, said_by_place, knows_family

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

  -- SKUs of a family, as staged. Each is JSON in `texts`, as it is stored, or decoded in `sums`: a document of thousands of
  -- lines has no time to decode what can be read, or written, as text (`plain`: see there). `known`: the SKUs that are
  -- remembered, and of each that it is.
  local function new_family(name)
    return { name = name, known = {}, reported = {}, texts = {}, plain = {}, sums = {}, touched = {} }
  end

  local function add_known(family, sku, text)
    if family.known[sku] then return end
    family.texts[sku], family.known[sku] = text, true
    family.known[#family.known + 1] = sku
  end

  -- Some SKUs of a family.
  load_family = function(shard, name, skus)
    local family, key = new_family(name), document_key(shard, name)
    for first = 1, #skus, UNPACK_MAX do
      local last = math.min(first + UNPACK_MAX - 1, #skus)
      for i, text in ipairs(redis.call('HMGET', key, unpack(skus, first, last))) do
        if text then add_known(family, skus[first + i - 1], text) end
      end
    end
    return family
  end

  -- All SKUs of a family.
  load_whole_family = function(shard, name)
    local family = new_family(name)
    local got = redis.call('HGETALL', document_key(shard, name))
    for i = 1, #got, 2 do add_known(family, got[i], got[i + 1]) end
    return family
  end

  -- Whether anything of a family is remembered.
  knows_family = function(shard, family)
    return redis.call('HLEN', document_key(shard, family)) > 0
  end

  -- A SKU's sums; nil if nothing is known of it.
  sums_of = function(family, sku)
    local text = family.texts[sku]
    if text then family.sums[sku], family.texts[sku], family.plain[sku] = decode_sums(text), nil, false end
    return family.sums[sku]
  end

  local function write_later(family, sku)
    if family.touched[sku] then return end
    family.touched[sku] = true
    family.touched[#family.touched + 1] = sku
  end

  -- A SKU's sums, to be changed: they are written with the event.
  sums_to_change = function(family, sku)
    local sums = sums_of(family, sku) or new_sums()
    family.sums[sku] = sums
    write_later(family, sku)
    return sums
  end

  -- A SKU's sums are what a route says of it now, and nobody has said anything before. `units`: good, damaged and lost ones as
  -- JSON ('' if it says nothing); `assumed`: the rows of assumed times as JSON; `owner`: the document under which it is booked.
  new_claim = function(family, sku, document, warehouse, units, assumed, owner)
    local claim, booked = '', ''
    if units ~= '' then claim = '["' .. document .. '","' .. warehouse .. '","' .. ROUTE .. '",' .. units .. ']' end
    if units ~= '' and units ~= '0,0,0' then booked = '["' .. owner .. '","' .. warehouse .. '",' .. units .. ']' end
    family.texts[sku] = '[[' .. claim .. '],[' .. booked .. '],[' .. assumed .. '],"",0]'
    write_later(family, sku)
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

  -- Sums as text: a SKU of an order that leaves one warehouse, and of which only the routes have said so, as is true of most.
  -- They are `plain`, and are read and changed without being decoded: each claim is of the same warehouse, and what is booked
  -- is the sum of them. Text with a backslash is not the one that is written here.

  local PLAIN = '^%[%[(.-)%],%[%["","([^"]*)",(%d+),0,0%]%],%[(.*)%],"",0%]$'
  local PLAIN_UNBOOKED = '^%[%[(.-)%],%[%],%[(.*)%],"",0%]$'
  local PLACE_AND_REPORTER = '","([^"]*)","([^"]*)",'
  local ASSUMED = '%["","([^"]*)",(%d),(%d+),(%d+)%]'

  local function read_plain(text)
    local claims, warehouse, units, assumed = string.match(text, PLAIN)
    if not claims then
      claims, assumed = string.match(text, PLAIN_UNBOOKED)
      units = 0
    end
    if not claims or string.find(text, '\\', 1, true) then return false end
    for place, reporter in string.gmatch(claims, PLACE_AND_REPORTER) do
      warehouse = warehouse or place
      if place ~= warehouse or reporter ~= ROUTE then return false end
    end
    return warehouse and { claims = claims, warehouse = warehouse, units = tonumber(units), assumed = assumed } or false
  end

  -- {claims, warehouse, units, assumed} of a SKU that is plain, else false.
  local function plain_of(family, sku)
    local plain = family.plain[sku]
    if plain == nil then
      plain = family.texts[sku] and read_plain(family.texts[sku]) or false
      family.plain[sku] = plain
    end
    return plain
  end

  local function write_plain(family, sku, warehouse, claims, units, assumed)
    local booked = units > 0 and ('["","' .. warehouse .. '",' .. text_of(units) .. ',0,0]') or ''
    family.texts[sku], family.plain[sku] = '[[' .. claims .. '],[' .. booked .. '],[' .. assumed .. '],"",0]', nil
    write_later(family, sku)
  end

  local function claim_text(document, warehouse)
    return '["' .. document .. '","' .. warehouse .. '","' .. ROUTE .. '",'
  end

  -- The rows of assumed times that are left when units are taken out of them.
  local function untimed(assumed, warehouse, quantity)
    local kept = {}
    for place, state, units, at in string.gmatch(assumed, ASSUMED) do
      local some = place == warehouse and state == '1' and math.min(quantity, tonumber(units)) or 0
      quantity = quantity - some
      if tonumber(units) > some then
        kept[#kept + 1] = '["","' .. place .. '",' .. state .. ',' .. text_of(units - some) .. ',' .. at .. ']'
      end
    end
    return table.concat(kept, ',')
  end

  local function has_other_reporter(sums)
    for _, claim in ipairs(sums.claims) do
      if claim.reporter ~= ROUTE then return true end
    end
    return false
  end

  -- Whether anybody but the routes had reported a SKU before this call.
  is_reported = function(family, sku)
    if not family.known[sku] then return false end
    local reported = family.reported[sku]
    if reported == nil then
      reported = not plain_of(family, sku) and has_other_reporter(sums_of(family, sku))
      family.reported[sku] = reported
    end
    return reported
  end

  local NO_UNITS = { 0, 0, 0 }

  -- What a route has said of a document of a SKU that is known, and whether it has said anything.
  said_by_route = function(family, sku, document)
    local plain = plain_of(family, sku)
    if plain and not string.find(plain.claims, claim_text(document, plain.warehouse), 1, true) then return NO_UNITS, false end
    return said_in_all(sums_of(family, sku), document, ROUTE)
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

  -- The greatest sum, if all say it of one warehouse, as most do; else nil.
  local function most_of_one(claims, promised)
    local first = claims[1]
    local most, is_one_document = first and first.units[1], true
    for i = 2, #claims do
      local claim = claims[i]
      if claim.warehouse ~= first.warehouse then return nil end
      if claim.document ~= first.document then is_one_document = false end
      most = math.max(most, claim.units[1])
    end
    if is_one_document then return most end
    local total, greatest, said = 0, {}, {}
    for _, claim in ipairs(claims) do
      local units, before = claim.units[1], greatest[claim.document]
      if not before or units > before then
        greatest[claim.document], total = units, total + units - (before or 0)
      end
      said[claim.reporter] = (said[claim.reporter] or 0) + units
    end
    if total <= promised then return total end
    local whole = promised
    for _, units in pairs(said) do whole = math.max(whole, units) end
    return whole
  end

  -- What is to be booked of shipments, of which so many units were promised: [{document = '', warehouse, units}, …].
  shipments_to_book = function(claims, lead, promised)
    local most = most_of_one(claims, promised)
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

  -- {name of a document in a warehouse -> units}
  local function booked_by_place(booked)
    local units_of = {}
    for _, one in ipairs(booked) do units_of[one.document .. '\n' .. one.warehouse] = one.units end
    return units_of
  end

  -- Sets what is booked, and returns by how much that differs from before: [{document, warehouse, units}, …], in the order of
  -- the claims; what becomes less comes first.
  rebook = function(sums, booked)
    local before = sums.booked
    sums.booked = booked
    local old, new = before[1], booked[1]
    local one_place = not old or not new or (old.document == new.document and old.warehouse == new.warehouse)
    if #before <= 1 and #booked <= 1 and one_place then
      local place, units = new or old, { 0, 0, 0 }
      if new then add_units(units, new.units, 1) end
      if old then add_units(units, old.units, -1) end
      if is_nothing(units) then return {} end
      sums.changed = true
      return { { document = place.document, warehouse = place.warehouse, units = units } }
    end
    local less, more, seen = {}, {}, {}
    local was, is = booked_by_place(before), booked_by_place(booked)
    local function note(document, warehouse)
      local name = document .. '\n' .. warehouse
      if seen[name] then return end
      seen[name] = true
      local units = { 0, 0, 0 }
      if is[name] then add_units(units, is[name], 1) end
      if was[name] then add_units(units, was[name], -1) end
      if is_nothing(units) then return end
      local one = { document = document, warehouse = warehouse, units = units }
      if total_of(units) < 0 then less[#less + 1] = one else more[#more + 1] = one end
    end
    for _, one in ipairs(before) do note(one.document, one.warehouse) end
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

  local function assumed_text(warehouse, quantity, at)
    return '["","' .. warehouse .. '",1,' .. text_of(quantity) .. ',' .. text_of(at) .. ']'
  end

  -- Claims and books units of a SKU whose shipments nobody but the routes has reported: all that they say is booked. They
  -- have said nothing of this document yet: `said_by_route`. `at`: when that was, if nobody has said so.
  ship_only_claim = function(family, sku, document, warehouse, quantity, at)
    if not family.sums[sku] and not family.texts[sku] then
      local assumed = at and assumed_text(warehouse, quantity, at) or ''
      return new_claim(family, sku, document, warehouse, text_of(quantity) .. ',0,0', assumed, '')
    end
    local plain = plain_of(family, sku)
    if plain and plain.warehouse == warehouse then
      local assumed = plain.assumed
      if at then assumed = assumed .. (assumed ~= '' and ',' or '') .. assumed_text(warehouse, quantity, at) end
      local claims = plain.claims .. ',' .. claim_text(document, warehouse) .. text_of(quantity) .. ',0,0]'
      return write_plain(family, sku, warehouse, claims, plain.units + quantity, assumed)
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

  -- Takes such a claim back, of a SKU that is plain; false if it is not, or the claim is not of so many units.
  unship_only_claim = function(family, sku, document, warehouse, quantity)
    local plain = plain_of(family, sku)
    if not plain or plain.units < quantity then return false end
    local claims, claim = plain.claims, claim_text(document, warehouse)
    local first, last = string.find(claims, claim .. text_of(quantity) .. ',0,0]', 1, true)
    if not first then return false end
    claims = string.sub(claims, 1, first - 1) .. claim .. '0,0,0]' .. string.sub(claims, last + 1)
    write_plain(family, sku, warehouse, claims, plain.units - quantity, untimed(plain.assumed, warehouse, quantity))
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

  -- Takes units of an assumed time out of the sums, `wanted` of a document: {warehouse -> units}, which says afterwards what was
  -- not found. Gives {warehouse -> [{units, at}, …]}.
  local function take_assumed_of(sums, document, state, wanted)
    if #sums.assumed == 0 then return {} end
    local kept, found = {}, {}
    for _, one in ipairs(sums.assumed) do
      local warehouse = one.warehouse
      local its = one.state == state and one.document == document and wanted[warehouse]
      local some = its and math.min(its, one.units) or 0
      if some > 0 then
        local rows = found[warehouse] or {}
        found[warehouse], rows[#rows + 1] = rows, { units = some, at = one.at }
        wanted[warehouse], one.units = its - some, one.units - some
      end
      if one.units > 0 then kept[#kept + 1] = one end
    end
    sums.assumed = kept
    return found
  end

  local NONE_FOUND = {}

  -- The same of one warehouse: [{units, at}, …].
  take_assumed = function(sums, document, warehouse, state, units)
    if #sums.assumed == 0 then return NONE_FOUND end
    return take_assumed_of(sums, document, state, { [warehouse] = units })[warehouse] or NONE_FOUND
  end

  -- A time was given for units that had an assumed one, `found`: what was counted in between must stand. `gone`: they left.
  local function redate(shard, stock, warehouse, shelf, found, at, gone)
    for _, one in ipairs(found) do
      if one.at ~= at then
        local source, target = 'j', shelf
        if gone then source, target = shelf, 'j' end
        fact_move(shard, stock, warehouse, source, target, one.units, '"time known"', nil, at)
        local reason = '"time known",null,null,' .. string.format('%d', one.at)
        fact_move(shard, stock, warehouse, target, source, one.units, reason, nil, one.at)
      end
    end
  end

  local function note_state(shard, stock, sums, document, warehouse, state, units, moved, at, gone)
    local new = units * moved > 0 and math.min(math.abs(units), math.abs(moved)) or 0
    if moved ~= 0 and units * moved <= 0 then take_assumed(sums, document, warehouse, state, math.abs(moved)) end
    local shelf, rest = SHELF_OF_STATE[state], math.abs(units) - new
    if not at then
      assume_time(sums, document, warehouse, state, new, shard.now)
    elseif shelf and rest > 0 then
      local found = take_assumed(sums, document, warehouse, state, rest)
      redate(shard, stock, warehouse, shelf, found, at, gone or units < 0)
    end
  end

  -- What a reporter has said now, by state, and by how much what is booked there has changed: keeps the assumed times.
  -- `at`: when it happened, if it was said. `gone`: units that left have no sign.
  note_times = function(shard, stock, sums, document, warehouse, said, change, at, gone)
    for state = 1, 3 do
      note_state(shard, stock, sums, document, warehouse, state, said[state], change[state], at, gone)
    end
  end

  -- The same for shipments from several warehouses at once, {warehouse, units} each: what is booked has changed there, and
  -- where nobody reports now, which loses its assumed times. What left has no sign.
  note_places = function(shard, stock, sums, places, changes, at)
    local place, change = places[1], changes[1]
    if place and #places == 1 and (not change or (#changes == 1 and change.warehouse == place[1])) then
      return note_state(shard, stock, sums, '', place[1], 1, place[2], change and change.units[1] or 0, at, true)
    end
    local said, moved, lost = {}, {}, {}
    for _, place in ipairs(places) do said[place[1]] = (said[place[1]] or 0) + place[2] end
    for _, change in ipairs(changes) do
      local warehouse, units = change.warehouse, change.units[1]
      moved[warehouse] = units
      if units * (said[warehouse] or 0) <= 0 then lost[warehouse] = math.abs(units) end
    end
    if next(lost) then take_assumed_of(sums, '', 1, lost) end
    local again = {}
    for _, place in ipairs(places) do
      local warehouse = place[1]
      local units, change = said[warehouse], moved[warehouse] or 0
      if units then
        local new = units * change > 0 and math.min(math.abs(units), math.abs(change)) or 0
        if not at then assume_time(sums, '', warehouse, 1, new, shard.now) else again[warehouse] = math.abs(units) - new end
      end
      said[warehouse] = nil
    end
    if not at then return end
    local found = take_assumed_of(sums, '', 1, again)
    for _, place in ipairs(places) do
      local warehouse = place[1]
      redate(shard, stock, warehouse, 'a', found[warehouse] or NONE_FOUND, at, true)
      found[warehouse] = nil
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

  -- What the routes say of a document (nil: of all), {warehouse -> units}.
  said_by_place = function(sums, document)
    local units_of = {}
    for _, claim in ipairs(sums.claims) do
      if claim.reporter == ROUTE and (not document or claim.document == document) then
        units_of[claim.warehouse] = (units_of[claim.warehouse] or 0) + claim.units[1]
      end
    end
    return units_of
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
