"""Concurrent histories: many clients on a real stack, and what the ledger says happened, held together."""
