-- The families of documents that were reported after a position.
SELECT DISTINCT family FROM document_sum WHERE shard = $1 AND (epoch, n) > ($2, $3)
