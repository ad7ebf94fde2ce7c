-- How many lines a snapshot has, and how many of their SKUs are not compared.
SELECT count(*) AS lines, count(*) FILTER (WHERE on_hand < 0) AS skipped FROM snapshot_line
