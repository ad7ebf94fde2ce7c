UPDATE quarantine SET sqlstate = $6, error = $7 WHERE shard = $1 AND epoch = $2 AND n = $3 AND part = $4 AND line = $5
