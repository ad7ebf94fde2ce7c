"""Steps: lists of open locks, and transfers whose units came back to their source."""

from app.ledger.migrations.files import run_file

revision = "0015"
down_revision = "0012"


def upgrade() -> None:
    """Run the file."""
    run_file("0015")
