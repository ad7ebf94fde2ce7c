-- Never back: a worker that stood still meanwhile knows less than the one that went on for it.
UPDATE position SET forgotten_epoch = :epoch, forgotten_n = :n
WHERE shard = :shard AND (forgotten_epoch, forgotten_n) < (:epoch, :n)
