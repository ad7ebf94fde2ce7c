-- What of a SKU goes by the order of recording: its version at a time, and the buffers, by warehouse.
SELECT DISTINCT ON (known.warehouse) known.warehouse, known.version, known.buffer
FROM (
    SELECT
        coalesce(max(piece.upto) FILTER (WHERE piece.recorded_at <= CAST(:at AS timestamptz)), 0) AS since,
        min(piece.upto) FILTER (WHERE piece.recorded_at > :at) AS upto
    FROM pieces(:sku) AS piece
) AS base
CROSS JOIN LATERAL (
    SELECT warehouse, version, buffer FROM balance WHERE balance.sku = :sku AND balance.version = base.since
    UNION ALL
    SELECT change.warehouse, move.version, change.buffer FROM move
    CROSS JOIN LATERAL (VALUES
        (move.warehouse, move.buffer_after), (move.to_warehouse, move.to_buffer_after)
    ) AS change (warehouse, buffer)
    WHERE move.sku = :sku AND move.version > base.since AND move.version <= base.upto
        AND move.recorded_at <= :at AND change.warehouse IS NOT NULL
) AS known
ORDER BY known.warehouse, known.version DESC
