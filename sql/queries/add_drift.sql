-- What differs is filed once, and seen again; true for what is new.
INSERT INTO drift (shard, what, place, left_name, left_figure, right_name, right_figure)
VALUES (:shard, :what, :place, :left_name, :left_figure, :right_name, :right_figure)
ON CONFLICT (shard, what, place, left_name, right_name) WHERE gone_at IS NULL DO UPDATE SET
    left_figure = excluded.left_figure, right_figure = excluded.right_figure, seen_at = now()
RETURNING found_at = seen_at AS is_new
