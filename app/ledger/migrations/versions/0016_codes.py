"""Codes: the list of warehouses, and the SKUs by what makes two of them alike."""

from typing import Any

from alembic import op
from sqlalchemy.util import await_only

from app.domain.codes import key_of
from app.ledger.migrations.files import run_file

revision = "0016"
down_revision = "0015"
_ROWS_MAX = 20_000
_KNOWN = "SELECT sku FROM stock UNION SELECT sku FROM purchase_order_line"


def upgrade() -> None:
    """Run the file, and note the keys of all SKUs: Postgres cannot make them."""
    run_file("0016")
    driver: Any = op.get_bind().connection.dbapi_connection
    await_only(_note_keys(driver.driver_connection))


async def _note_keys(pg: Any) -> None:
    known = await pg.cursor(_KNOWN)
    while rows := await known.fetch(_ROWS_MAX):
        keys = [(key_of(row["sku"]), row["sku"]) for row in rows]
        await pg.copy_records_to_table("sku_key", records=keys, columns=("key", "sku"))
