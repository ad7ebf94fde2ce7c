SELECT lock_id, record FROM lock WHERE lock_id = :lock_id ORDER BY opened_epoch DESC, opened_n DESC LIMIT 1
