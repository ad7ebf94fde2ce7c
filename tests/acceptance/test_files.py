"""Files as people write them: each bad line is named, the good ones are kept, and memory stays flat."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.service import COMMAND, ROOT, Service, environment

MIB = 1024 * 1024
# A command that only starts takes some 60 MiB; what a million rows may add to 20,000 is little more than noise.
GROWTH_BYTES_MAX = 24 * MIB

STOCK = (
    b"\xef\xbb\xbfsku,warehouse,quantity,buffer\r\n"
    b"csv-twice,north,5,1\r\n"
    b"csv-bad,north,five,\r\n"
    b"csv-bad,north,-1,\r\n"
    b"csv-bad,north,1.5,\r\n"
    b"csv-bad,north,1e3,\r\n"
    b"csv-bad,north,10000000001,\r\n"
    b"csv-twice,north,6,\r\n"
    b"csv{bad},north,6,\r\n"
    b" csv-bad,north,6,\r\n"
    b"csv-bad,,6,\r\n"
    b"csv-bad,north\r\n"
    b"csv-bad,north,6,,7\r\n"
    b"csv-b\xe9d,north,6,\r\n"
    b"\r\n"
    b'"csv, quoted",north,7,\r\n'
    b"csv-zero,north,0,\r\n"
    b"csv-good,north,5,1\r\n"
    b'csv-bad,"north,6,\r\n'
)
STOCK_COMPLAINTS = [
    "line 3: quantity 'five' is not a whole number in plain digits",
    "line 4: quantity '-1' must not be negative",
    "line 5: quantity '1.5' is not a whole number",
    "line 6: quantity '1e3' is not a whole number in plain digits: a spreadsheet probably shortened it",
    "line 7: quantity '10000000001' is above 1,000,000,000",
    "line 9: sku 'csv{bad}' must not contain any of { } \" \\",
    "line 10: sku ' csv-bad' must not begin or end with a blank",
    "line 11: warehouse '' is empty",
    "line 12: ends before its quantity",
    "line 13: has 5 fields, but the header names 4",
    "line 14: its sku is not UTF-8 text",
    "line 19: has a quoted field that does not end, in its warehouse: '\"north,6,'",
    "line 2: 'csv-twice' in 'north' is in line 8 as well: neither is taken (--sum adds them up)",
    "line 8: 'csv-twice' in 'north' is in line 2 as well: neither is taken (--sum adds them up)",
]
ORDERS = (
    b"order_id,sku,quantity,occurred_at,kind\n"
    b"csv-1,csv-orders,1,2025-01-31T10:00:00Z,order\n"
    b"csv-2,csv-orders,0,2025-01-31T10:00:00Z,order\n"
    b"csv-3,csv-orders,1,yesterday,order\n"
    b"csv-4,csv-orders,1,2025-01-31T10:00:00Z,gift\n"
    b"..,csv-orders,1,2025-01-31T10:00:00Z,order\n"
    b"csv-5,csv-orders,-2,2025-01-31T10:00:00Z,adjustment\n"
)
ORDERS_COMPLAINTS = [
    "line 3: quantity '0' is not between 1 and 1,000,000,000",
    "line 4: occurred_at 'yesterday' is not a time such as 2025-01-31T08:30:00Z",
    "line 5: kind 'gift' is none of order, return, adjustment",
    "line 6: order_id '..' cannot be an id",
]


def test_each_bad_line_of_a_stock_file_is_named(service: Service, place: Path) -> None:
    (place / "stock.csv").write_bytes(STOCK)
    done = service.sellable("import-stock", str(place / "stock.csv"))
    assert done.returncode == 3
    assert done.stdout == f"imported 3 rows (3 changed), {len(STOCK_COMPLAINTS)} bad lines\n"
    assert done.stderr.splitlines() == STOCK_COMPLAINTS
    assert service.stock("csv-good")["north"]["on_hand"] == 5
    assert service.stock("csv-good")["north"]["buffer"] == 1
    assert service.stock("csv, quoted")["north"]["on_hand"] == 7
    assert service.get("/v1/availability/csv-zero").json()["sellable"] == 0
    assert service.get("/v1/availability/csv-bad").status_code == 404
    assert service.get("/v1/availability/csv-twice").status_code == 404


def test_a_rerun_of_an_import_changes_nothing(service: Service, place: Path) -> None:
    (place / "stock.csv").write_text(
        "sku,warehouse,quantity,buffer\ncsv-again,north,5,1\ncsv-again,south,0,\n"
    )
    for changed in (2, 0):
        done = service.sellable("import-stock", str(place / "stock.csv"))
        assert (done.returncode, done.stdout) == (0, f"imported 2 rows ({changed} changed), 0 bad lines\n")


@pytest.mark.tier
def test_a_rerun_does_not_sell_again_what_was_shipped(service: Service, place: Path) -> None:
    (place / "stock.csv").write_text("sku,warehouse,quantity\ncsv-gone,north,10\ncsv-here,north,3\n")
    (place / "orders.csv").write_text(
        "order_id,sku,quantity,occurred_at\ncsv-gone-1,csv-gone,4,2025-01-31T10:00:00Z\n"
    )
    assert service.sellable("import-stock", str(place / "stock.csv")).returncode == 0
    assert service.sellable("replay", str(place / "orders.csv")).returncode == 0
    done = service.sellable("import-stock", str(place / "stock.csv"))
    assert (done.returncode, done.stdout) == (3, "imported 1 rows (0 changed), 1 bad lines\n")
    assert done.stderr.startswith("line 2: csv-gone north 6 -> 10 has moved since its opening (--as-of T")
    assert service.stock("csv-gone")["north"]["on_hand"] == 6
    done = service.sellable("import-stock", str(place / "stock.csv"), "--overwrite", "--dry-run")
    assert (done.returncode, done.stdout.splitlines()) == (
        0, ["csv-gone north 6 -> 10", "would import 2 rows (1 changed), 0 bad lines"],
    )  # fmt: skip
    done = service.sellable("import-stock", str(place / "stock.csv"), "--overwrite")
    assert done.stdout == "imported 2 rows (1 changed), 0 bad lines\n"
    assert service.stock("csv-gone")["north"]["on_hand"] == 10


def test_each_bad_line_of_an_order_file_is_named(service: Service, place: Path) -> None:
    service.open_stock(("csv-orders", "north", 10))
    (place / "orders.csv").write_bytes(ORDERS)
    done = service.sellable("replay", str(place / "orders.csv"))
    assert done.returncode == 3
    assert [line for line in done.stderr.splitlines() if line.startswith("line")] == ORDERS_COMPLAINTS
    assert service.stock("csv-orders")["north"]["on_hand"] == 7


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty: the first line must name its columns, among them quantity, sku, warehouse"),
        (b"sku,quantity\nA,1\n", "has no column warehouse: the first line must name its columns"),
        (b"sku:warehouse:quantity\nA:n:1\n", "it names 'sku:warehouse:quantity'"),
        ("sku,warehouse,quantity\nÄ,n,1\n".encode("latin-1"), "is not UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_used(content: bytes, sentence: str, service: Service, place: Path) -> None:
    (place / "stock.csv").write_bytes(content)
    done = service.sellable("import-stock", str(place / "stock.csv"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("sellable: stock.csv ")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_good_line(service: Service, place: Path) -> None:
    (place / "stock.csv").write_text("sku,warehouse,quantity\nA,north,x\n")
    done = service.sellable("import-stock", str(place / "stock.csv"))
    assert (done.returncode, done.stdout) == (1, "imported 0 rows (0 changed), 1 bad lines\n")


def import_and_measure(service: Service, file: Path) -> tuple[str, int]:
    """What an import says, and the most memory it had, in bytes."""
    arguments = [*COMMAND, "import-stock", str(file), "--data-dir", str(service.data)]
    with (file.parent / "said").open("w+") as said:
        importing = subprocess.Popen(arguments, cwd=ROOT, env=environment(), stdout=said, stderr=said)
        _, status, usage = os.wait4(importing.pid, 0)
        importing.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    assert importing.returncode == 0, text
    return text, usage.ru_maxrss * 1024


def stock_file(file: Path, prefix: str, rows: int) -> Path:
    with file.open("w", encoding="utf-8") as out:
        out.write("sku,warehouse,quantity\n")
        out.writelines(f"{prefix}-{number},north,{number % 100}\n" for number in range(rows))
    return file


def check_flat(service: Service, place: Path, *, few: int, many: int) -> None:
    text, few_bytes = import_and_measure(service, stock_file(place / "few.csv", f"few-{few}", few))
    assert text.endswith(f"imported {few} rows ({few} changed), 0 bad lines\n")
    text, many_bytes = import_and_measure(service, stock_file(place / "many.csv", f"many-{many}", many))
    assert text.endswith(f"imported {many} rows ({many} changed), 0 bad lines\n")
    assert many_bytes - few_bytes < GROWTH_BYTES_MAX


@pytest.mark.tier
def test_memory_stays_flat(service: Service, place: Path) -> None:
    check_flat(service, place, few=1_000, many=20_000)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_memory_stays_flat_with_a_million_lines(up: Callable[..., Service], place: Path) -> None:
    service = up().ready()
    check_flat(service, place, few=20_000, many=1_000_000)
    assert service.stock("many-1000000-999999")["north"]["on_hand"] == 99
