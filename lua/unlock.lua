-- unlock: give back all that is left of a lock, or some of it.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id  4 op  5 fingerprint  6 reason as JSON ('' for none)
--       7… lines (a count, then sku, quantity, warehouse or ''); without them: all that is left
-- Event unlock, moves locked -> available. After a shipment the rest given back ends as deducted.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   REPEATED, ID_REUSED, UNKNOWN_LOCK, UNCHANGED (all was given back before), LOCK_EXPIRED, LOCK_NOT_HELD,
--   WAREHOUSE_REQUIRED, QUANTITY_EXCEEDS_LOCK, UNLOCKED.

-- What is left of the lines, and how the lock ends if nothing is.
local function lines_after_unlock(lines, taken)
  local kept = {}
  for _, line in ipairs(lines) do
    local quantity = line.quantity - (taken[line] or 0)
    if quantity > 0 then
      kept[#kept + 1] = {
        sku = line.sku, warehouse = line.warehouse, quantity = quantity, deducted = line.deducted,
      }
    end
  end
  return kept
end

-- What is left is what is asked for from now on, where it is; its ranked warehouses stay those of the lock.
local function narrowed_request(lock, kept)
  local asked = lock.q and cjson.decode(lock.q)[1] or {}
  return encode_request(kept, asked) or gone(lock.q)
end

local function changes_of_unlock(lock, lines, taken)
  if not all_taken(lines, taken) then
    local kept = lines_after_unlock(lines, taken)
    return { n = encode_lines(kept), q = narrowed_request(lock, kept) }
  end
  if any_deducted(lines) then
    return { s = 'deducted', x = false, e = 'unlock', n = encode_lines(lines_after_unlock(lines, taken)) }
  end
  return { s = 'released', x = false, e = 'unlock' } -- its lines say what it held
end

local function unlock(keys, args)
  local valid, wanted = read_wanted(args, 7)
  local shard, lock, answer = begin_step(keys, args, valid and args[6])
  if answer then return answer end
  if not is_open(lock) then
    if not wanted and lock.e == 'unlock' then return lock_answer('UNCHANGED', lock, shard.last) end
    return illegal(shard, lock)
  end
  local lines = decode_lines(lock.n)
  local taken, refused = take_lines(lock, lines, wanted, true)
  if not taken then return refused end
  give_back(shard, lines, taken)
  local event = { kind = 'unlock', op = args[4], fingerprint = args[5], reason = args[6] ~= '' and args[6] or nil }
  return end_step(shard, lock, 'UNLOCKED', event, changes_of_unlock(lock, lines, taken))
end

register('unlock', unlock, { 'allow-oom' })
