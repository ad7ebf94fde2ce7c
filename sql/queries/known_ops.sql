SELECT op FROM event WHERE op = ANY(CAST(:ops AS text[]))
