"""The quarantine: what the ledger could not book, and what waits behind it."""

from app.ledger.migrations.files import run_file

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Run the file."""
    run_file("0005")
