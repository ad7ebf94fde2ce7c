-- `found` is what looked for a cause: the differences that have it, and what speaks for it.
UPDATE discrepancy AS filed SET cause = found.cause, evidence = found.evidence
FROM found
WHERE filed.number = $1 AND filed.sku = found.sku AND filed.state = found.state
