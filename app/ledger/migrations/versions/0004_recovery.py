"""Recovery: installations, corrections after a fork."""

from app.ledger.migrations.files import run_file

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Run the file."""
    run_file("0004")
