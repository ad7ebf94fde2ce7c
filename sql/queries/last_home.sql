-- Of the last epoch that a comparison came to: one that was only noted for a comparison says nothing yet.
SELECT home FROM epoch WHERE shard = $1 AND finding <> $2 ORDER BY epoch DESC LIMIT 1
