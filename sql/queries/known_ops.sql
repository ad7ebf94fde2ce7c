SELECT op FROM event WHERE op = ANY(CAST(:ops AS text[]))
UNION ALL
SELECT op FROM archived_op WHERE op = ANY(CAST(:ops AS text[]))
