INSERT INTO epoch (shard, epoch, prev_epoch, prev_n, prev_tip, home, finding)
VALUES (:shard, :epoch, :prev_epoch, :prev_n, :prev_tip, :home, :finding)
