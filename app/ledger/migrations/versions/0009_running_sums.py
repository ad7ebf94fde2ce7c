"""Running sums: what balances say of the outside is carried along."""

from app.ledger.migrations.files import run_file

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Run the file."""
    run_file("0009")
