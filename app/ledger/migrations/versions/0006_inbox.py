"""Events of warehouse systems."""

from app.ledger.migrations.files import run_file

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Run the file."""
    run_file("0006")
