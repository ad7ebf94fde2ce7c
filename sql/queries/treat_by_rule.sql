-- What a rule says of differences with its cause and size; what an earlier rule decided stays.
UPDATE discrepancy SET treatment = $4, treated_by = 'policy', treated_at = now()
WHERE number = $1 AND treated_at IS NULL
    AND ($2::text IS NULL OR cause = $2) AND ($3::bigint IS NULL OR abs(difference) <= $3)
