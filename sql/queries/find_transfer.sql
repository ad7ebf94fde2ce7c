SELECT transfer_id, record FROM transfer WHERE transfer_id = :transfer_id
ORDER BY opened_epoch DESC, opened_n DESC LIMIT 1
