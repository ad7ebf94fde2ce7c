-- What one event added and took, by SKU.
SELECT
    sku,
    sum(quantity * ((target IN ('available', 'locked'))::int - (source IN ('available', 'locked'))::int))::bigint AS on_hand,
    sum(quantity * ((target = 'damaged')::int - (source = 'damaged')::int))::bigint AS damaged
FROM move WHERE epoch = :epoch AND n = :n GROUP BY sku
