"""Documents: what reporters said of each, and what they disagree on."""

from app.ledger.migrations.files import run_file

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Run the file."""
    run_file("0011")
