"""A migration is a plain `.sql` file; its Alembic revision only runs it. Forward only."""

from typing import Any

from alembic import op
from sqlalchemy.util import await_only

from app import resources


def run_file(revision: str) -> None:
    """Run `sql/migrations/<revision>_….sql` as one script."""
    (file,) = (resources.folder("sql") / "migrations").glob(f"{revision}_*.sql")
    # asyncpg's own execute: SQLAlchemy would prepare each statement, and a file has several.
    driver: Any = op.get_bind().connection.dbapi_connection
    await_only(driver.driver_connection.execute(file.read_text(encoding="utf-8")))
