-- What a person decided; and what reporters had said then.
UPDATE mismatch SET closed_at = coalesce(closed_at, now()), decision = $2, reason = $3, who = $4, said = $5::jsonb
WHERE mismatch_id = $1 AND decision IS NULL
