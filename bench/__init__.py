"""The bench: what this service reaches on this machine, beside rivals on the same servers."""
