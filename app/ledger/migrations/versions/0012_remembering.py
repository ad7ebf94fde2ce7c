"""One rule of remembering, and one source of what ids were used for."""

from app.ledger.migrations.files import run_file

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Run the file."""
    run_file("0012")
