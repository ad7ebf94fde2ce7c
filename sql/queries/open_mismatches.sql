INSERT INTO mismatch (shard, family, sku, differs, opened_at)
SELECT $1, given.family, given.sku, given.differs, $5
FROM unnest($2::text[], $3::text[], $4::text[]) AS given (family, sku, differs)
ON CONFLICT (family, sku) WHERE closed_at IS NULL DO UPDATE SET differs = excluded.differs
