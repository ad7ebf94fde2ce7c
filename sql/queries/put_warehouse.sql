-- What is not given stays as it is; a rank is given where $3 says so, be it none.
INSERT INTO warehouse (code, name, rank, closed)
VALUES ($1, coalesce($2::text, ''), $4::integer, coalesce($5::boolean, false))
ON CONFLICT (code) DO UPDATE SET
    name = coalesce($2::text, warehouse.name),
    rank = CASE WHEN $3::boolean THEN $4::integer ELSE warehouse.rank END,
    closed = coalesce($5::boolean, warehouse.closed),
    merged_into = NULL
RETURNING code, name, rank, closed
