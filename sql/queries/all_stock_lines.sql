-- Each SKU as a line for `rebuild_stock`: sku, then the hash's fields and values, tab by tab (no code has a tab).
SELECT
    concat_ws(E'\t', sku, 'v', max(version), string_agg(concat_ws(
        E'\t', warehouse || ':a', available,
        CASE WHEN locked <> 0 THEN concat_ws(E'\t', warehouse || ':l', locked) END,
        CASE WHEN damaged <> 0 THEN concat_ws(E'\t', warehouse || ':d', damaged) END,
        CASE WHEN in_transit <> 0 THEN concat_ws(E'\t', warehouse || ':t', in_transit) END,
        CASE WHEN buffer <> 0 THEN concat_ws(E'\t', warehouse || ':b', buffer) END
    ), E'\t' ORDER BY warehouse)) AS line
FROM stock WHERE shard = $1 GROUP BY sku
