"""The books: balances, seals, archives, and what the running check found."""

from app.ledger.migrations.files import run_file

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Run the file."""
    run_file("0007")
