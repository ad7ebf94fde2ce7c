-- Every move of a shard that is not archived, in the order of its events.
SELECT
    epoch, n, line, sku, version, warehouse, source, target, quantity, reason, available_after, locked_after,
    damaged_after, in_transit_after, buffer_after, to_warehouse, to_available_after, to_locked_after,
    to_damaged_after, to_in_transit_after, to_buffer_after,
    (extract(epoch FROM recorded_at) * 1000)::bigint AS recorded_at,
    (extract(epoch FROM occurred_at) * 1000)::bigint AS occurred_at
FROM move WHERE shard = $1 ORDER BY epoch, n, line
