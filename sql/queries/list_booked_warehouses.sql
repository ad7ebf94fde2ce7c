-- Lists warehouses that something was booked in or ordered for, and that are not listed yet; one that was merged stays so.
INSERT INTO warehouse (code)
SELECT warehouse FROM (SELECT warehouse FROM stock UNION SELECT warehouse FROM purchase_order) AS known
WHERE NOT EXISTS (SELECT FROM warehouse AS listed WHERE listed.code = known.warehouse)
ORDER BY 1 ON CONFLICT DO NOTHING
