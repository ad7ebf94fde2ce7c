-- recall: an ended lock that was forgotten is remembered again, as the ledger has it: more is reported of it.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 lock_id  4… fields and values
-- Event none: no stock moves.
-- Returns the gate's refusals, UNCHANGED (it is remembered), LOADED.

local function recall(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  if load_lock(shard, args[3]) then return { 'UNCHANGED', args[3] } end
  redis.call('HSET', lock_key(shard, args[3]), unpack(args, 4))
  return { 'LOADED', args[3] }
end

-- recall_transfer: an ended transfer that was forgotten is remembered again, as the ledger has it.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3 transfer_id  4… fields and values
-- Event none: no stock moves.
-- Returns the gate's refusals, UNCHANGED (it is remembered), LOADED.

local function recall_transfer(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  if load_transfer(shard, args[3]) then return { 'UNCHANGED', args[3] } end
  redis.call('HSET', transfer_key(shard, args[3]), unpack(args, 4))
  return { 'LOADED', args[3] }
end

-- recall_documents: documents that were forgotten are remembered again, as the ledger has them: more is reported of them.
-- KEYS  1 meta
-- ARGV  1 epoch  2 who  3… of each family its name, how many SKUs it has, and each SKU with its sums
-- Event none: no stock moves.
-- Returns the gate's refusals, INVALID_ARGUMENT, LOADED. What is remembered stays as it is.

local function recall_documents(keys, args)
  local shard, refusal = enter(keys, args)
  if refusal then return refusal end
  local at = 3
  while args[at] do
    local count = natural(args[at + 1])
    if not count or count == 0 or #args < at + 1 + 2 * count then return { 'INVALID_ARGUMENT', args[at] } end
    if not knows_family(shard, args[at]) then
      local sums = {}
      for i = 1, 2 * count do sums[i] = args[at + 1 + i] end
      call_with('HSET', document_key(shard, args[at]), sums)
    end
    at = at + 2 + 2 * count
  end
  return { 'LOADED', '' }
end

register('recall', recall, {})
register('recall_transfer', recall_transfer, {})
register('recall_documents', recall_documents, {})
