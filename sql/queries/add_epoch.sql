-- Notes an epoch; what was found may be told later than its number.
INSERT INTO epoch (shard, epoch, prev_epoch, prev_n, prev_tip, home, finding)
VALUES (:shard, :epoch, :prev_epoch, :prev_n, :prev_tip, :home, :finding)
ON CONFLICT (shard, epoch) DO UPDATE SET
    prev_epoch = excluded.prev_epoch, prev_n = excluded.prev_n, prev_tip = excluded.prev_tip, finding = excluded.finding
