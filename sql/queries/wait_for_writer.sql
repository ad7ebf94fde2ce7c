-- Until nobody is in the middle of writing: who begins later sees what this transaction did.
SELECT epoch FROM position WHERE shard = :shard FOR UPDATE
