"""The ledger."""

from app.ledger.migrations.files import run_file

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Run the file."""
    run_file("0001")
