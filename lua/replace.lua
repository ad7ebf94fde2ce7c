-- replace: other lines for a lock, in one atomic swap; of one that shipped in part, for what has not shipped.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id  4 op  5 fingerprint
--       6 the version that the lock must have ('': whichever it has)
--       7 a new ttl in ms, counted from now ('': the expiry is kept, `never`: no expiry)
--       8… ranked warehouses (a count, then codes; none: those of the lock)
--       … the default order (a count, then codes)  … closed warehouses (a count, then codes)
--       … lines (a count, then sku, quantity, warehouse or '')
-- Event replace, moves locked -> available for what shrinks, then available -> locked for what grows.
-- Units of a SKU stay where the lock holds them, if a line does not name another warehouse; what it holds stays
-- promised to it, even where stock is short by now.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   REPEATED, ID_REUSED, UNKNOWN_LOCK, LOCK_CHANGED (it has another version), LOCK_EXPIRED, LOCK_NOT_HELD (also of a
--   new expiry for what is paid), TOO_MANY_LINES (with those that shipped), BACKLOG_FULL (it would grow), TOO_MANY_CHOICES,
--   INSUFFICIENT_STOCK, REPLACED.

local LINES_MAX = 2000

-- What is left of each line: {sku -> {warehouse -> units}}.
local function outstanding_of(lines)
  local left = {}
  for _, line in ipairs(lines) do
    left[line.sku] = left[line.sku] or {}
    left[line.sku][line.warehouse] = line.quantity - line.deducted
  end
  return left
end

local function units_at(units, line)
  return units[line.sku] and units[line.sku][line.warehouse] or 0
end

-- The ranked warehouses of a lock's request.
local function ranked_of(lock)
  return lock.q and cjson.decode(lock.q)[1] or {}
end

-- Adds lines, those of one SKU and warehouse together.
local function adder()
  local lines, index = {}, {}
  return lines, function(sku, warehouse, quantity, kept)
    local name = sku .. '\n' .. warehouse
    if index[name] then
      index[name].quantity = index[name].quantity + quantity
    else
      index[name] = { sku = sku, warehouse = warehouse, quantity = quantity, kept = kept }
      lines[#lines + 1] = index[name]
    end
  end
end

-- The lines, where units of those that name no warehouse stay with the lock: lines that name theirs. What is still to
-- be found remains a line without a warehouse, and says how many were `kept`.
-- `old_lines` in the order in which units stay; `may_stay`: the warehouses where they may, nil for all.
local function stay(lines, old_lines, may_stay)
  local stayed, add = adder()
  local named, any_free = {}, false
  for _, line in ipairs(lines) do
    if line.warehouse ~= '' then named[line.sku .. '\n' .. line.warehouse] = line.quantity else any_free = true end
  end
  if not any_free then return lines end
  local held = by_sku(old_lines)
  for _, line in ipairs(lines) do
    if line.warehouse ~= '' then
      add(line.sku, line.warehouse, line.quantity)
    else
      local missing = line.quantity
      for _, old in ipairs(held[line.sku] or {}) do
        local free = old.quantity - old.deducted - (named[line.sku .. '\n' .. old.warehouse] or 0)
        local units = (not may_stay or may_stay[old.warehouse]) and math.min(missing, free) or 0
        if units > 0 then
          add(line.sku, old.warehouse, units)
          missing = missing - units
        end
      end
      if missing > 0 then add(line.sku, '', missing, line.quantity - missing) end
    end
  end
  return stayed
end

-- Stages the moves; true if anything is promised that was not before.
local function swap(shard, old_lines, old, new_lines)
  local new, grows = outstanding_of(new_lines), false
  for _, line in ipairs(old_lines) do
    local held, wanted = line.quantity - line.deducted, units_at(new, line)
    if wanted < held then
      move(shard, load_stock(shard, line.sku, line.warehouse), line.warehouse, 'l', 'a', held - wanted)
    end
  end
  for _, line in ipairs(new_lines) do
    local held = units_at(old, line)
    if line.quantity > held then
      move(shard, load_stock(shard, line.sku, line.warehouse), line.warehouse, 'a', 'l', line.quantity - held)
      grows = true
    end
  end
  return grows
end

-- What shipped, and then the new lines, those of one SKU and warehouse together.
local function beside_shipped(old_lines, new_lines)
  if not any_deducted(old_lines) then return new_lines end
  local lines, add = adder()
  local deducted = {}
  for _, line in ipairs(old_lines) do
    if line.deducted > 0 then
      add(line.sku, line.warehouse, line.deducted)
      deducted[line.sku .. '\n' .. line.warehouse] = line.deducted
    end
  end
  for _, line in ipairs(new_lines) do add(line.sku, line.warehouse, line.quantity) end
  for _, line in ipairs(lines) do line.deducted = deducted[line.sku .. '\n' .. line.warehouse] or 0 end
  return lines
end

local function shipped_count(lines)
  local count = 0
  for _, line in ipairs(lines) do
    if line.deducted > 0 then count = count + 1 end
  end
  return count
end

-- The arguments after the fingerprint, or nil if one cannot be read.
local function read_replacement(args)
  local request = { version = args[6], ttl = natural(args[7]), never = args[7] == 'never' }
  request.renews = request.ttl ~= nil or request.never
  local first
  request.asked, first = read_list(args, 8)
  request.order, first = read_order_of_warehouses(args, first or #args + 1)
  local lines = request.order and read_lines(args, first)
  if not lines or #lines == 0 or not (request.renews or args[7] == '') then return nil end
  request.lines = merge_lines(lines)
  return request
end

local function as_set(list)
  local set = {}
  for _, item in ipairs(list) do set[item] = true end
  return set
end

local function refusal_of_replacement(shard, lock, request, old_lines)
  if request.version ~= '' and request.version ~= text_of(lock.v) then
    return lock_answer('LOCK_CHANGED', lock, shard.last)
  end
  if not is_open(lock) or (request.renews and lock.s ~= 'held') then return illegal(shard, lock) end
  local shipped = shipped_count(old_lines)
  if shipped > 0 and shipped + #request.lines > LINES_MAX then return { 'TOO_MANY_LINES', lock.id } end
  return nil
end

local function replace(keys, args)
  local request = read_replacement(args)
  local shard, lock, answer = begin_step(keys, args, request)
  if answer then return answer end
  local old_lines = decode_lines(lock.n)
  answer = refusal_of_replacement(shard, lock, request, old_lines)
  if answer then return answer end
  local inherits = #request.asked == 0
  local asked = inherits and ranked_of(lock) or request.asked
  local old = outstanding_of(old_lines)
  local stayed = stay(request.lines, old_lines, not inherits and as_set(asked) or nil)
  local sourced, shortages = source_lines(shard, stayed, asked, request.order, old)
  local grows = not sourced or swap(shard, old_lines, old, sourced)
  if grows and backlog_is_full(shard) then return { 'BACKLOG_FULL', lock.id } end
  if not sourced then return unsourced(lock.id, shortages) end
  local changes = {
    n = encode_lines(beside_shipped(old_lines, sourced)), q = encode_request(request.lines, asked) or gone(lock.q),
  }
  local event = { kind = 'replace', op = args[4], fingerprint = args[5] }
  if request.renews then
    changes.x = request.ttl and (shard.now + request.ttl) or false
    event.reason = '"renewed"' -- so its expiry was promised by this event
  end
  return end_step(shard, lock, 'REPLACED', event, changes)
end

register('replace', replace, {})
