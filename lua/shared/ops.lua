-- Idempotency: what an id was used for, and what its answer needs.
--
-- {tag}op:<op>: "<fingerprint> <position> <answer>", where the answer is [status, expires_at, lines, version] and, where
-- a shipment took more than was on hand, that as the record's `m` has it; or nothing if the lock ended with this step:
-- then its record is the answer, or the record's `w` once it was opened again.
-- An op names its kind and its id: receipt:R1, return:R1, adjustment:A1, key:<Idempotency-Key>,
-- deduct:<lock_id>{<shipment_id> (a brace cannot occur in an id), transfer_ship:<transfer_id>{<shipment_id>,
-- transfer_receive:<transfer_id>{<receipt_id>; an answer about a transfer is [status, lines].

local function op_key(shard, op)
  return shard.tag .. 'op:' .. op
end

-- fingerprint, position, answer of an op; nil if it is new.
local function load_op(shard, op)
  if op == '' then return nil end
  local text = redis.call('GET', op_key(shard, op))
  if not text then return nil end
  local fingerprint, position, answer = string.match(text, '^(%S+) (%S+) ?(.*)$')
  return { fingerprint = fingerprint, position = position, answer = answer }
end

local function write_op(shard, event, position, answer)
  if event.op == nil or event.op == '' then return end
  redis.call('SET', op_key(shard, event.op), event.fingerprint .. ' ' .. position .. ' ' .. (answer or ''))
end
