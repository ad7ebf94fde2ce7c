SELECT coalesce(sum(abs(difference)), 0)::bigint AS units FROM discrepancy WHERE number = $1 AND treatment = 'approved'
