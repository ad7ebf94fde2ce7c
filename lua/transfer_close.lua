-- transfer_close: nothing more of a transfer is shipped. What is on the way still arrives, or is given up with it.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 transfer_id  4 op ('': a repeat is recognised by the transfer)  5 fingerprint
--       6 what becomes of what is on the way: `lost`, `returned_to_source`, or '' (it still arrives)
--       7 reason as JSON ('' for none)
-- Event transfer_close, moves locked -> available at the source; in_transit -> adjustment, or in_transit at the
-- destination -> available at the source.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   UNKNOWN_TRANSFER, UNCHANGED (it has ended, or was closed before and the rest is on the way), TRANSFER_NOT_OPEN
--   (all of it is on the way, and what becomes of that is not said), QUANTITY_TOO_LARGE, TRANSFER_CLOSED.

local WAYS = { [''] = true, lost = true, returned_to_source = true }

-- Whether something was given up before.
local function was_cut_short(line)
  return line.cancelled + line.returned
end

local function give_up(shard, transfer, line, way)
  local stock, on_way = load_stock(shard, line.sku, transfer.a), on_the_way(line)
  local left = unshipped(line)
  if left > 0 then
    move(shard, stock, transfer.a, 'l', 'a', left)
    line.cancelled = line.cancelled + left
  end
  if on_way == 0 or way == '' then return end
  if way == 'lost' then
    move(shard, stock, transfer.b, 't', 'j', on_way, '"lost in transfer"')
    line.lost = line.lost + on_way
  else
    move(shard, stock, transfer.b, 't', 'a', on_way, '"returned to source"', transfer.a)
    line.returned = line.returned + on_way
  end
end

local function close_transfer(keys, args)
  local way = args[6]
  local shard, transfer, answer = begin_transfer_step(keys, args, args[4] == '' and WAYS[way] and args[7])
  if answer then return answer end
  if not transfer_is_open(transfer) then return transfer_answer('UNCHANGED', transfer, shard.last) end
  local carriage = carriage_of(transfer)
  if way == '' and sum_of(carriage.lines, unshipped) == 0 then
    local outcome = sum_of(carriage.lines, was_cut_short) > 0 and 'UNCHANGED' or 'TRANSFER_NOT_OPEN'
    return transfer_answer(outcome, transfer, shard.last)
  end
  for _, line in ipairs(carriage.lines) do give_up(shard, transfer, line, way) end
  local event = { kind = 'transfer_close', reason = args[7] ~= '' and args[7] or nil }
  return end_transfer_step(shard, carriage, 'TRANSFER_CLOSED', event)
end

register('transfer_close', close_transfer, { 'allow-oom' })
