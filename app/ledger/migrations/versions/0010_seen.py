"""Events that were seen, and where the ledger never got them: their numbers are kept."""

from app.ledger.migrations.files import run_file

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Run the file."""
    run_file("0010")
