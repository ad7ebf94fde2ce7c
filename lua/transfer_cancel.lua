-- transfer_cancel: what a transfer has not shipped yet is not needed any more.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 transfer_id  4 op ('': a repeat is recognised by the transfer)  5 fingerprint
-- Event transfer_cancel, moves locked -> available at the source.
-- Returns, in this order of precedence: NOT_READY, UNKNOWN_LAYOUT, STALE_EPOCH, INVALID_ARGUMENT,
--   UNKNOWN_TRANSFER, UNCHANGED (it was cancelled before), TRANSFER_NOT_OPEN (all of it shipped),
--   TRANSFER_CANCELLED.

local function was_cancelled(line)
  return line.cancelled
end

local function cancel_transfer(keys, args)
  local shard, transfer, answer = begin_transfer_step(keys, args, args[4] == '')
  if answer then return answer end
  local carriage = carriage_of(transfer)
  local lines = carriage.lines
  if sum_of(lines, was_cancelled) > 0 then return transfer_answer('UNCHANGED', transfer, shard.last) end
  if sum_of(lines, unshipped) == 0 then return transfer_answer('TRANSFER_NOT_OPEN', transfer, shard.last) end
  for _, line in ipairs(lines) do
    local quantity = unshipped(line)
    if quantity > 0 then
      move(shard, load_stock(shard, line.sku, transfer.a), transfer.a, 'l', 'a', quantity)
      line.cancelled = quantity
    end
  end
  return end_transfer_step(shard, carriage, 'TRANSFER_CANCELLED', { kind = 'transfer_cancel' })
end

register('transfer_cancel', cancel_transfer, { 'allow-oom' })
