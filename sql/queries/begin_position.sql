INSERT INTO position (shard, epoch, n, tip, recorded_at) VALUES ($1, 0, 0, '', 'epoch') ON CONFLICT DO NOTHING
