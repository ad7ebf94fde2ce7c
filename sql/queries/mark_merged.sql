-- A warehouse is listed no more: it is another one, and so are those that were merged into it before.
WITH before AS (UPDATE warehouse SET merged_into = $2 WHERE merged_into = $1 AND code <> $2)
INSERT INTO warehouse (code, merged_into) VALUES ($1, $2) ON CONFLICT (code) DO UPDATE SET merged_into = excluded.merged_into
