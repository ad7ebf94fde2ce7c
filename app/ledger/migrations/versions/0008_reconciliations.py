"""Reconciliations and their discrepancies."""

from app.ledger.migrations.files import run_file

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Run the file."""
    run_file("0008")
