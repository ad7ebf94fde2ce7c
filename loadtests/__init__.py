"""Load tests: users of a shop, and a judge who counts what they were promised."""
