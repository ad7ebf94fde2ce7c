"""Files as shops and warehouses really have them (tests/cases), through the command line and HTTP."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.bootstrap import Stores
from app.domain.commands import OpeningRow
from tests.integration.clerk import CASES, Clerk, clerk_of, numbered
from tests.integration.reconciling import differences, done, send
from tests.integration.warehouse import House, house_on, now_ms, text_of


@pytest.fixture
async def clerk(
    house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Clerk]:
    async with clerk_of(house, capsys, monkeypatch) as clerk:
        yield clerk


AMBIGUOUS, HOW = "is ambiguous: it may be", "(--codes as-is takes it)"
IMPORTS: list[tuple[str, list[str], int, dict[tuple[str, str], int], dict[int, str]]] = [
    # file, options, exit code, what is on hand then, and what is said of which line
    ("amazon-tab.txt.csv", [], 0, {("AM-1", "fba"): 5}, {}),
    ("excel-de-semicolon-utf8.csv", [], 0, {("TEE-1", "süd"): 12}, {}),
    ("excel-sep-line.csv", [], 0, {("TEE-1", "sued"): 12}, {}),
    ("excel-sep-comma.csv", [], 0, {("TEE-1", "sued"): 12}, {}),
    ("excel-unicode-text.txt.csv", [], 0, {("TEE-1", "sued"): 12}, {}),
    ("old-mac.csv", [], 0, {("M-1", "north"): 3, ("M-2", "north"): 4}, {}),
    ("excel-de-semicolon-cp1252.csv", ["--encoding", "cp1252"], 1, {}, {
        2: f"quantity '1.250' {AMBIGUOUS} 1250 or 1.25", 3: "quantity '12,0' is ambiguous"}),
    ("blanks-and-case.csv", [], 3, {("abc-1", "north"): 4, ("ABC-1", "north"): 6}, {
        4: "sku 'AbC-1 ' must not", 5: "sku 'xyz\\xa0' must not", 6: "sku 'x\\u200by' must",
        7: "warehouse ' north' must not", 8: "warehouse 'north ' must not", 9: "sku 'cafe"}),
    ("ctrl-z-nul.csv", [], 3, {("Z-1", "north"): 3}, {3: "sku 'Z-2\\x00' must have printable"}),
    ("erpnext-bin-export.csv", [], 0, {
        ("SKU-A", "Stores - XY"): 12, ("SKU-B", "Stores - XY"): 0, ("SKU-C", "Stores - XY"): 3}, {}),
    ("excel-thousands.csv", [], 3, {(f"TH-{n}", "north"): 12 for n in (4, 5, 6, 7, 11)}, {
        2: "quantity '1,250' is ambiguous", 3: "quantity '1 250' has separators", 4: f"quantity '1.250' {AMBIGUOUS}",
        9: "quantity '+12' is not", 10: "quantity '1e3' is not", 11: "quantity '' is empty",
        13: "quantity '-3' must not be negative", 14: "quantity '2.5' is not a whole number"}),
    ("excel-damaged-codes.csv", [], 3, {("731", "north"): 3}, {
        2: "sku '4.00638E+12' is a number that a spreadsheet has shortened", 3: "sku '1.23E+12' is a number",
        5: "sku '03-Apr' is a date", 6: "sku '#N/A' is an error", 7: "sku '#REF!' is an error",
        8: "sku 'TOTAL' is probably the row of a total"}),
    ("excel-damaged-codes.csv", ["--codes", "as-is"], 0, {
        ("4.00638E+12", "north"): 5, ("03-Apr", "north"): 2, ("#N/A", "north"): 4, ("TOTAL", "north"): 21}, {}),
    ("excel-guard.csv", [], 3, {("00126", "north"): 5}, {
        2: "sku '=\"00123\"' is a spreadsheet's formula", 3: "sku '=\"00124\"' is a spreadsheet's formula",
        4: 'sku "\'00125" begins with an apostrophe'}),
    ("excel-guard.csv", ["--codes", "as-is"], 0, {("00123", "north"): 5, ("'00125", "north"): 5}, {}),
    ("truncated.csv", [], 3, {("T-1", "north"): 120}, {
        3: "the file ends in the middle of a line, 'T-2,north,12', or only its last line end is missing"
           " (--accept-last-line takes it)"}),
    ("truncated.csv", ["--accept-last-line"], 0, {("T-1", "north"): 120, ("T-2", "north"): 12}, {}),
    ("shopify-inventory-export.csv", ["--format", "shopify"], 3, {("LB-SAND", "Hub East"): 10}, {
        4: "sku \"'00731\" begins with an apostrophe"}),
    ("shopify-renamed.csv", ["--map", "sku=SKU"], 3, {("LB-SAND", "Hub East"): 10}, {
        3: "quantity 'not stocked' is not a whole", 4: "sku \"'00731\" begins", 5: "sku '' is empty"}),
    ("woocommerce-export.csv", [], 3, {("WOO-1-R", "main"): 8, ("WOO-2", "main"): 0}, {
        2: "quantity '' is empty",
        5: "is not proper CSV: a quote in a quoted field is not doubled, in its Name: '\"Mug 5\" blue\""}),
]  # fmt: skip
REFUSED = [
    ("excel-de-semicolon-cp1252.csv", [], "is not UTF-8 text, as line 2 shows: .*--encoding cp1252"),
    ("html-error.csv", [], "is an HTML page, not CSV"),
    ("xlsx-renamed.csv", [], "is an Excel workbook, not CSV"),
    (
        "shopify-inventory-export.csv",
        [],
        "has no column quantity and no column warehouse: .*--format shopify",
    ),
    (
        "shopify-renamed.csv",
        ["--map", "quantity=Units"],
        "has no column 'Units', which is to be its quantity",
    ),
]


async def on_hand(house: House, sku: str, warehouse: str) -> int | None:
    _, (stock,) = await house.stores.hot.read_stock([sku])
    counts = stock.warehouses.get(warehouse) if stock else None
    return counts.on_hand if counts else None


async def test_stock_files(clerk: Clerk) -> None:
    for name, options, code, stock, lines in IMPORTS:
        said = await clerk.types("import-stock", str(CASES / name), "--new-warehouses", *options)
        assert said.code == code, (name, said)
        named = numbered(said.err)
        assert named.keys() == lines.keys(), (name, said.err)
        assert {line: named[line].startswith(start) for line, start in lines.items()} == dict.fromkeys(
            lines, True
        ), said
        found = {shelf: await on_hand(clerk.house, *shelf) for shelf in stock}
        assert found == stock, name


async def test_stock_files_that_cannot_be_used(clerk: Clerk) -> None:
    for name, options, sentence in REFUSED:
        said = await clerk.types("import-stock", str(CASES / name), *options)
        assert (said.code, said.out) == (1, ""), (name, said)
        assert said.err.startswith(f"sellable: {name} {sentence.partition('.*')[0]}"), said
        assert sentence.partition(".*")[2] in said.err
        assert said.err.count("\n") == 1


async def test_what_is_said_besides(clerk: Clerk) -> None:
    said = await clerk.types("import-stock", str(CASES / "blanks-and-case.csv"))
    assert "lines 2 and 3: 'ABC-1' and 'abc-1' differ in case only" in said.err
    said = await clerk.types(
        "import-stock", str(CASES / "shopify-inventory-export.csv"), "--format", "shopify"
    )
    assert "quantity (column 'On hand (current)') '-2' must not be negative" in said.err
    assert "rows left out, not stocked: 1\nrows left out, without a SKU: 1\n" in said.err
    assert said.err.count("columns not used") == 1
    assert (await clerk.types("import-stock", str(CASES / "old-mac.csv"), "--map", "x=y")).code == 2


# Snapshots

SNAPSHOTS: list[tuple[str, list[str], int, dict[str, int], list[str]]] = [
    # file, options, exit code (4: refused whole), what differs by SKU, and what is said of lines
    *((f"recon-{name}.csv", [], 0, {}, []) for name in (
        "blank-lines", "decimal", "extra-columns", "ok-crlf-bom", "old-mac", "quoted-newline", "semicolon", "tab",
        "trailing-empty", "utf16", "zeros-unknown",
    )),
    ("recon-shopify.csv", ["--format", "shopify"], 0, {}, []),
    ("recon-shopify.csv", ["--map", "on_hand=On hand", "--map", "warehouse=Location"], 0, {}, []),
    ("recon-shopify.csv", [], 4, {}, ["line 1: has no column on_hand"]),
    ("recon-per-bin.csv", ["--sum"], 0, {}, []),
    ("recon-per-bin.csv", [], 3, {}, ["line 3: sku 'R-1' was given in line 2 already: none of them is compared"]),
    ("recon-empty-count.csv", [], 3, {}, ["line 3: on_hand '' is empty"]),
    ("recon-negative.csv", [], 3, {}, ["line 4: on_hand '-2' must not be negative"]),
    ("recon-scientific.csv", [], 3, {}, ["line 2: on_hand '1E+1' is not a whole number"]),
    ("recon-no-newline.csv", [], 4, {}, ["line 3 does not end: the file seems to be cut off"]),
    ("recon-no-newline.csv", ["--accept-last-line"], 0, {}, []),
    ("recon-warehouse-name.csv", [], 4, {}, ["line 2: is of the warehouse 'North', not of 'north'"]),
    ("recon-delta.csv", ["--partial"], 1, {"R-1": -1}, []),
    ("recon-delta.csv", [], 1, {"R-1": -1, "R-2": -5}, []),
    ("recon-case.csv", [], 1, {"r-1": 10, "R-1": -10}, []),
    ("excel-thousands.csv", ["--map", "on_hand=quantity", "--partial"], 3,
     {f"TH-{n}": 12 for n in (4, 5, 6, 7, 11)},
     ["line 2: on_hand (column 'quantity') '1,250' is ambiguous", "line 4: on_hand (column 'quantity') '1.250' is"]),
    ("html-error.csv", [], 4, {}, ["is an HTML page, not CSV"]),
    ("xlsx-renamed.csv", [], 4, {}, ["is an Excel workbook, not CSV"]),
]  # fmt: skip
PARAMETERS = {
    "--format": "format", "--map": "map", "--sum": "sum", "--partial": "partial",
    "--accept-last-line": "accept_last_line",
}  # fmt: skip


@pytest.fixture
async def counted(
    stores: Stores, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Clerk, int]]:
    """R-1 has 10 and R-2 has 5 in north, and nothing else; and a time when it had."""
    async with house_on(stores, (OpeningRow("R-1", "north", 10), OpeningRow("R-2", "north", 5))) as house:
        await house.caught_up()
        async with clerk_of(house, capsys, monkeypatch) as clerk:
            yield clerk, await now_ms(house)


def query_of(options: list[str]) -> dict[str, Any]:
    """The options of the command line as parameters."""
    query: dict[str, Any] = {}
    words = iter(options)
    for word in words:
        name = PARAMETERS[word]
        if name in {"sum", "partial", "accept_last_line"}:
            query[name] = "true"
        else:
            query.setdefault(name, []).append(next(words))
    return query


@pytest.mark.tier
async def test_snapshots(counted: tuple[Clerk, int]) -> None:
    clerk, at = counted
    for name, options, code, differing, lines in SNAPSHOTS:
        as_of = text_of(at)
        said = await clerk.types(
            "reconcile", str(CASES / name), "--warehouse", "north", "--as-of", as_of, "--json", *options
        )
        assert said.code == code, (name, said)
        assert all(line in said.err for line in lines), (name, said.err)
        answer = await send(clerk.house, (CASES / name).read_bytes(), at, **query_of(options))
        if code == 4:
            assert answer.status_code == 422, name
            text = "; ".join(f"{one['field']}: {one['message']}" for one in answer.json()["errors"])
            assert all(line in text for line in lines), (name, text)
            continue
        assert answer.status_code == 200, (name, answer.text)  # the same snapshot as the command's
        told = await done(clerk.house, answer.json()["reconciliation_id"])
        assert {one["sku"]: one["difference"] for one in told["discrepancies"]} == differing, name
        skipped = [f"{one['field']}: {one['message']}" for one in answer.json().get("skipped", [])]
        assert bool(told["totals"]["skus_skipped"]) == (code == 3), name
        assert all(any(line in one for one in skipped) for line in lines if "already" not in line), (
            name,
            skipped,
        )
        assert not told["totals"]["alarm"] or name in {"recon-delta.csv", "recon-case.csv"}, name


async def test_of_a_charset(counted: tuple[Clerk, int]) -> None:
    clerk, at = counted
    body = "sku;on_hand;Bezeichnung\nR-1;10;grün\nR-2;5;rot\nSCHÖN;0;\n".encode("cp1252")
    answer = await send(clerk.house, body, at)
    assert answer.status_code == 422
    assert "Content-Type: text/csv; charset=cp1252" in answer.json()["errors"][0]["message"]
    answer = await send(clerk.house, body, at, 'text/csv; header=present; charset="windows-1252"')
    assert answer.status_code == 202
    assert answer.json()["notes"] == ["columns not used: 'Bezeichnung'"]
    assert differences(await done(clerk.house, answer.json()["reconciliation_id"])) == {}
    answer = await send(clerk.house, body, at, "text/csv; charset=klingon")
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


# Orders


async def test_order_files(clerk: Clerk, tmp_path: Path) -> None:
    rows = [OpeningRow(sku, "main", 100) for sku in ("RP-1", "RP-2", "PO-A", "PO-B")]
    await clerk.house.operations.openings.book([*rows, OpeningRow("RP-3", "main", 2)])

    async def replay(name: str, *options: str) -> tuple[int, dict[int, str], str]:
        said = await clerk.types("replay", str(CASES / name), *options)
        return said.code, numbered(said.err), said.err

    code, lines, said = await replay("replay-kinds.csv")
    assert code == 3
    assert {line: text.partition(" is ")[0].partition(" must ")[0] for line, text in lines.items()} == {
        5: "quantity '-2'", 6: "kind 'Order'", 7: "kind 'REFUND'", 8: "quantity '0'", 10: "sku 'RP-1 '",
    }  # fmt: skip
    assert "order C10 refused: not enough of RP-1" in said
    code, lines, _ = await replay("replay-times.csv")
    assert (code, sorted(lines)) == (3, [2, 3, 4, 5, 6, 7, 8, 10])
    assert lines[2].startswith(
        "occurred_at '2026-10-25T02:30:00' is a local time: say how far it is from UTC"
    )
    code, lines, said = await replay("replay-newest-first.csv")
    assert (code, lines) == (0, {})
    assert "the newest rows come first in this file" in said
    assert "order n1 refused: not enough of RP-3" in said
    for name, *options in (
        ("replay-one-bad-line-of-an-order.csv",), ("replay-semicolon-bom.csv",), ("replay-shopify-renamed.csv",),
        ("replay-shopify-orders.csv", "--format", "shopify"),
    ):  # fmt: skip
        assert (await replay(name, *options))[:2] == (0, {}), name
    assert [await on_hand(clerk.house, sku, "main") for sku in ("RP-2", "PO-A", "PO-B")] == [99, 98, 99]
    file = tmp_path / "unknown.csv"
    file.write_text(
        "order_id,sku,quantity,occurred_at,warehouse,kind\n"
        "back,new,1,2026-10-25T09:00:00Z,main,return\nback,rp-1,1,2026-10-25T09:00:00Z,main,return\n"
        "found,new,1,2026-10-25T09:00:00Z,moon,adjustment\n"
    )
    said = await clerk.types("replay", str(file))
    assert [line for line in said.err.splitlines() if "failed" in line] == [
        ("return back failed: unknown_sku (422): no SKU is called new; no SKU is called rp-1; did you mean RP-1?"
        " (import new ones first: `sellable import-stock` makes a SKU known, also with the quantity 0)"),
        ("adjustment found failed: unknown_warehouse (422): no warehouse is called moon"
        " (`sellable import-stock --new-warehouses` lists new ones)"),
    ]  # fmt: skip
    assert said.code == 3


AT_NINE = "2026-10-25 09:00:00 +0200"
CANCELLED = f"""\
Name,Financial Status,Fulfillment Status,Created at,Cancelled at,Lineitem quantity,Lineitem sku
#paid,paid,fulfilled,{AT_NINE},,1,PO-A
#cancelled,paid,unfulfilled,{AT_NINE},2026-10-25 10:00:00 +0200,1,PO-A
#cancelled,,,{AT_NINE},,2,PO-B
#voided,Voided,,{AT_NINE},,1,PO-A
#refunded,refunded,unfulfilled,{AT_NINE},,1,
#refunded,,,{AT_NINE},,1,PO-A
#unread,voided,unfulfilled,{AT_NINE},,0.5,PO-A
#unread,,,{AT_NINE},,1,PO-A
#sent,refunded,fulfilled,{AT_NINE},,1,PO-A
#half,voided,partial,{AT_NINE},,1,PO-A
#less,partially_refunded,unfulfilled,{AT_NINE},,1,PO-A
#cancelled,,,{AT_NINE},,4,PO-A
"""


async def test_orders_that_were_cancelled_are_not_booked(clerk: Clerk, tmp_path: Path) -> None:
    """Whichever of an order's rows says so: also one without a SKU, and one that cannot be read."""
    await clerk.house.operations.openings.book([OpeningRow(sku, "main", 10) for sku in ("PO-A", "PO-B")])
    file, report = tmp_path / "orders.csv", tmp_path / "report.csv"
    file.write_text(CANCELLED)
    said = await clerk.types(
        "replay", str(file), "--format", "shopify", "--report", str(report), "--summary", "json"
    )
    assert numbered(said.err) == {8: "quantity (column 'Lineitem quantity') '0.5' is not a whole number"}
    assert [line for line in said.err.splitlines() if "left out" in line] == [
        "rows left out, without a SKU: 1",
        "rows left out, of cancelled orders: 3",
        "rows left out, of orders that were voided before anything was sent: 2",
        "rows left out, of orders that were refunded before anything was sent: 1",
    ]
    assert [line.split(",")[:4] for line in report.read_text().splitlines()[1:]] == [
        ["8", "#unread", "order", "bad line"],
        *([line, f"#{name}", "order", "left out"] for line, name in (("3", "cancelled"), ("5", "voided"))),
        *([line, f"#{name}", "order", "left out"] for line, name in (("7", "refunded"), ("9", "unread"))),
    ]
    figures = json.loads(said.out)
    assert {name: figures[name] for name in ("rows", "orders", "locked", "order_rows", "failed", "unsent")} == {
        "rows": 5, "orders": 4, "locked": 4, "order_rows": 4, "failed": 1, "unsent": 0,
    }  # fmt: skip
    assert [await on_hand(clerk.house, sku, "main") for sku in ("PO-A", "PO-B")] == [6, 10]
    file.write_text("order_id,sku,quantity,occurred_at,cancelled_at\nown,PO-B,1,2026-10-25T09:00:00Z,yes\n")
    assert (await clerk.types("replay", str(file))).code == 0
    assert await on_hand(clerk.house, "PO-B", "main") == 9


async def test_an_order_with_a_bad_line_completes_with_the_corrected_file(
    clerk: Clerk, tmp_path: Any
) -> None:
    await clerk.house.operations.openings.book([OpeningRow(sku, "main", 10) for sku in ("PO-A", "PO-B")])
    good = (CASES / "replay-one-bad-line-of-an-order.csv").read_text()
    file = tmp_path / "orders.csv"
    file.write_text(good.replace("1.0", "0.5"))
    said = await clerk.types("replay", str(file))
    assert said.code == 3
    assert numbered(said.err) == {3: "quantity '0.5' is not a whole number"}
    assert "order po-1 failed: line 3 of it is bad, so none of it was booked" in said.err
    assert await on_hand(clerk.house, "PO-A", "main") == 10
    file.write_text(good)
    assert (await clerk.types("replay", str(file))).code == 0
    assert [await on_hand(clerk.house, sku, "main") for sku in ("PO-A", "PO-B")] == [8, 9]


# Events


async def test_events_as_programs_write_them(house: House) -> None:
    body = (CASES / "events-as-programs-write-them.ndjson").read_bytes()
    answer = await house.http.post(
        "/v1/warehouse-events?source=wms",
        content=b"\xef\xbb\xbf" + body,
        headers={"content-type": "application/x-ndjson"},
    )
    told = answer.json()
    assert [(one["line"], one["status"]) for one in told["results"]] == [
        (1, "applied"), (2, "rejected"), (3, "rejected"),
    ]  # fmt: skip
    assert told["counts"] == {"applied": 1, "rejected": 2}
    assert told["results"][1]["detail"] == "event_id: 4711 is a number: write it in quotes"
    assert told["results"][2]["detail"].startswith("unknown field `bin`; occurred_at: must be an RFC 3339")
    assert "such as 2025-11-28T09:30:00Z" in told["results"][2]["detail"]
    assert await on_hand(house, "ND", "north") == 3
