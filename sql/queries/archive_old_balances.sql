-- Balances whose moves leave the ledger, but for the last one of each SKU: that is where its sums begin.
DELETE FROM balance USING (
    SELECT sku, max(version) AS version FROM balance WHERE shard = $1 AND recorded_at < $2 GROUP BY sku
) AS last
WHERE balance.sku = last.sku AND balance.version < last.version
