"""Functions of the owner's, so that the worker and the API need not own the tables."""

from app.ledger.migrations.files import run_file

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Run the file."""
    run_file("0017")
