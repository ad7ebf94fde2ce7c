-- What was looked at again and does not differ any more.
UPDATE drift SET gone_at = now()
WHERE shard = :shard AND gone_at IS NULL AND what = ANY (:looked_at) AND seen_at < now()
