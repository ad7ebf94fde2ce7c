"""${message}."""

from app.ledger.migrations.files import run_file

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Run the file."""
    run_file("${up_revision}")
