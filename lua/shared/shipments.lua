-- What a shipment does to its order: it takes what is locked where it left from; what left from elsewhere ends the promise
-- of as many units elsewhere, for the order has its goods.

local order_of, promised_to, ship_claims, changes_of_order

do
  local LIVE = { held = true, confirmed = true, partly_deducted = true, deducted = true }

  -- An order whose shipments are being booked. `of`: its lines by SKU, for an order may have thousands. A line that has
  -- nothing left to say is `gone`, and is dropped when the record is written. `less`: why units that did not leave after
  -- all move back.
  order_of = function(lock)
    local lines = decode_lines(lock.n)
    return { lock = lock, lines = lines, of = by_sku(lines), live = LIVE[lock.s] or false, same = true, less = '"shipped less"' }
  end

  local function place_of(order, sku, warehouse)
    return order.of[sku] and line_at(order.of[sku], warehouse)
  end

  local function add_line(order, sku, warehouse)
    local line = { sku = sku, warehouse = warehouse, quantity = 0, deducted = 0 }
    order.lines[#order.lines + 1] = line
    order.of[sku] = order.of[sku] or {}
    local its = order.of[sku]
    its[#its + 1] = line
    if its.at then its.at[warehouse] = line end
    return line
  end

  local function note_gone(order, line)
    line.gone = line.quantity == 0
    local its = order.of[line.sku]
    if line.gone and its.at then its.at[line.warehouse] = nil end
  end

  local function remaining(lines)
    local kept = {}
    for _, line in ipairs(lines) do
      if not line.gone then kept[#kept + 1] = line end
    end
    return kept
  end

  -- Units of a SKU that the order was promised, shipped ones included; of an ended one only those.
  promised_to = function(order, sku)
    local units, left = 0, 0
    for _, line in ipairs(order.of[sku] or {}) do
      units = units + (order.live and line.quantity or line.deducted)
      left = left + (order.live and line.quantity - line.deducted or 0)
    end
    return units, left
  end

  -- Ends the promise of so many units in other warehouses; returns those that nothing was promised for.
  local function end_promise(shard, order, stock, warehouse, units)
    local lines = order.of[stock.sku] or {}
    local i = lines.settled or 1 -- the lines before it have nothing left: there may be thousands, and as many shipments
    while units > 0 and lines[i] do
      local line = lines[i]
      local left = line.quantity - line.deducted
      local some = line.warehouse ~= warehouse and math.min(units, left) or 0
      if some > 0 then
        move(shard, stock, line.warehouse, 'l', 'a', some, '"shipped from elsewhere"')
        line.quantity, units, order.elsewhere = line.quantity - some, units - some, true
        note_gone(order, line)
      end
      if left == some and i == (lines.settled or 1) then lines.settled = i + 1 end
      i = i + 1
    end
    return units
  end

  local function ship_more(shard, order, sums, stock, warehouse, units, at)
    local line = place_of(order, stock.sku, warehouse)
    local own = line and order.live and math.min(units, line.quantity - line.deducted) or 0
    local rest = units - own
    if own > 0 then fact_move(shard, stock, warehouse, 'l', 'c', own, nil, nil, at) end
    if rest > 0 then
      fact_move(shard, stock, warehouse, 'a', 'c', rest, nil, nil, at)
      local beyond = order.live and end_promise(shard, order, stock, warehouse, rest) or rest
      sums.beyond, order.beyond, order.same = sums.beyond + beyond, order.beyond or beyond > 0, false
    end
    line = line or add_line(order, stock.sku, warehouse)
    line.deducted = line.deducted + units
    line.quantity = order.live and line.quantity + rest or math.max(line.quantity, line.deducted)
  end

  -- Units that did not leave after all: what was beyond the order is free again, the rest is promised again.
  local function ship_less(shard, order, sums, stock, warehouse, units, at)
    local line = place_of(order, stock.sku, warehouse)
    units = math.min(units, line and line.deducted or 0)
    if units == 0 then return end
    local free = order.live and math.min(units, sums.beyond) or units
    if free > 0 then fact_move(shard, stock, warehouse, 'c', 'a', free, order.less, nil, at) end
    if units > free then fact_move(shard, stock, warehouse, 'c', 'l', units - free, order.less, nil, at) end
    sums.beyond = sums.beyond - math.min(free, sums.beyond)
    line.deducted = line.deducted - units
    if order.live then line.quantity = line.quantity - free end
    note_gone(order, line)
    order.of[stock.sku].settled = nil
  end

  -- Books what a SKU's claims come to; returns by how much that differs: [{document, warehouse, units}, …].
  ship_claims = function(shard, order, sums, stock, at)
    local changes = rebook(sums, shipments_to_book(sums.claims, sums.lead, (promised_to(order, stock.sku))))
    for _, change in ipairs(changes) do
      local units = change.units[1]
      if units < 0 then ship_less(shard, order, sums, stock, change.warehouse, -units, at)
      else ship_more(shard, order, sums, stock, change.warehouse, units, at) end
    end
    return changes
  end

  -- How the lock's record changes.
  changes_of_order = function(order)
    local lock, left = order.lock, false
    order.lines = remaining(order.lines)
    for _, line in ipairs(order.lines) do left = left or line.quantity > line.deducted end
    local changes = { n = encode_lines(order.lines), v = lock.v + 1 }
    if not order.live then return changes end
    if not left then
      changes.s, changes.e, changes.x = 'deducted', lock.e or 'deduct', false
    else
      changes.s, changes.e, changes.x = any_deducted(order.lines) and 'partly_deducted' or 'confirmed', gone(lock.e), false
    end
    return changes
  end
end
