-- Holds the open cases of some families: a person who decides on one waits until what follows from its sums is written.
SELECT mismatch_id FROM mismatch WHERE family = ANY ($1::text[]) AND closed_at IS NULL ORDER BY mismatch_id FOR UPDATE
