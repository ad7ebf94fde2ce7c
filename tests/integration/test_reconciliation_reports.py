"""Reports of reconciliations: as JSON, as lines, as a page; day by day; in the metrics; on the command line."""

import csv
import json
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from app.bootstrap import Stores
from app.commands.reconcile import reconcile
from app.commands.reconciliations import reconciliations
from app.domain.commands import OpeningRow
from app.domain.reconciliation import Freshness, standings
from app.errors import SellableError
from app.operations.operations import Operations
from app.settings import Settings
from tests.integration.reconciling import reconciled
from tests.integration.warehouse import House, house_on, now_ms, text_of


@pytest.fixture
def test_settings() -> Settings:
    return Settings(
        trim_margin_seconds=0, reconcile_window_seconds=0, reconcile_differing_share_max=0.9,
        reconcile_warehouses="north,west",
    )  # fmt: skip


@pytest.fixture
async def house(stores: Stores) -> AsyncIterator[House]:
    async with house_on(stores) as house:
        await house.operations.openings.book(
            [OpeningRow("<b>&amp;", "north", 30), OpeningRow("C", "north", 1)]
        )
        await house.caught_up()
        yield house


async def three_days(house: House) -> list[dict[str, Any]]:
    """A differs each day, C on two, the others once."""
    days = ("A,9\nB,0\n<b>&amp;,30\nC,1\n", "A,12\nB,4\n<b>&amp;,30\nC,0\n", "A,7\nB,0\n<b>&amp;,2030\nC,0\n")
    return [await reconciled(house, f"sku,on_hand\n{day}", await now_ms(house)) for day in days]


class _Tags(HTMLParser):
    """Every tag is closed, and nothing is loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not {"src", "href", "onclick"} & {name for name, _ in attrs}, (tag, attrs)
        self.seen.append(tag)
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


async def test_the_report_compares_with_earlier_days(house: House) -> None:
    days = await three_days(house)
    path = f"/v1/reconciliations/{days[-1]['reconciliation_id']}/report"
    told = (await house.http.get(path)).json()
    assert [(one["sku"], one["difference"]) for one in told["worst"]] == [
        ("<b>&amp;", 2000),
        ("A", -3),
        ("C", -1),
    ]
    assert [(one["sku"], one["times"]) for one in told["repeated"]] == [("A", 3), ("C", 2)]
    assert told["repeated"][0]["since"] == days[0]["as_of"]
    assert [day["skus_differing"] for day in told["days"]] == [1, 3, 3]
    newest = (await house.http.get("/v1/reconciliations", params={"limit": 2})).json()
    assert [one["reconciliation_id"] for one in newest["items"]] == [
        one["reconciliation_id"] for one in reversed(days[1:])
    ]
    rest = (await house.http.get("/v1/reconciliations", params={"after": newest["next"]})).json()
    assert [one["reconciliation_id"] for one in rest["items"]] == [days[0]["reconciliation_id"]]
    assert (await house.http.get("/v1/reconciliations", params={"warehouse": "south"})).json()["items"] == []


async def test_the_report_as_lines(house: House) -> None:
    told = (await three_days(house))[-1]
    answer = await house.http.get(f"/v1/reconciliations/{told['reconciliation_id']}/report.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(answer.text.splitlines()))
    assert [(row["sku"], row["kind"], row["difference"], row["treatment"]) for row in rows] == [
        ("<b>&amp;", "more", "2000", "proposed"), ("A", "less", "-3", "proposed"), ("C", "less", "-1", "proposed"),
    ]  # fmt: skip


async def test_the_report_as_a_page(house: House) -> None:
    told = (await three_days(house))[-1]
    answer = await house.http.get(f"/v1/reconciliations/{told['reconciliation_id']}/report.html")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    tags = _Tags()
    tags.feed(answer.text)
    assert (tags.open, tags.seen.count("svg")) == ([], 3)
    assert "&lt;b&gt;&amp;amp;" in answer.text
    for svg in answer.text.split("<svg")[1:]:
        ET.fromstring("<svg" + svg.split("</svg>")[0] + "</svg>")  # noqa: S314 - our own page
    assert "3 wait for approval" in answer.text
    assert "Again and again" in answer.text


async def test_a_page_of_a_day_without_differences(house: House) -> None:
    told = await reconciled(house, "sku,on_hand\nA,10\n<b>&amp;,30\nC,1\n", await now_ms(house))
    text = (await house.http.get(f"/v1/reconciliations/{told['reconciliation_id']}/report.html")).text
    assert "Nothing differs" in text
    assert "agrees" in text


async def test_metrics_tell_how_the_warehouses_stand(house: House) -> None:
    await reconciled(house, "sku,on_hand\nA,9\n<b>&amp;,30\nC,3\n", await now_ms(house))
    text = (await house.http.get("/metrics")).text
    assert 'sellable_reconciliation_skus_differing{warehouse="north"} 2.0' in text
    assert 'sellable_reconciliation_units_more{warehouse="north"} 2.0' in text
    assert 'sellable_reconciliation_alarm{warehouse="north"} 0.0' in text
    assert 'sellable_reconciliation_age_seconds{warehouse="west"} +Inf' in text
    assert 'sellable_reconciliation_alarm{warehouse="west"} 1.0' in text


def test_how_warehouses_stand() -> None:
    known = [Freshness("a", 1_000, {"alarm": False}), Freshness("b", 90_000, {"alarm": True})]
    found = standings(known, ("c", "a"), 100_000, 60)
    assert [(one.warehouse, one.age_seconds, one.overdue, one.alarm) for one in found] == [
        ("a", 99.0, True, True),
        ("b", 10.0, False, True),
        ("c", float("inf"), True, True),
    ]


# The command line


@pytest.fixture
def running(house: House, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the commands are given."""
    monkeypatch.setenv("SELLABLE_REDIS_URL", "redis://here")
    monkeypatch.setenv("SELLABLE_DATABASE_URL", "postgresql://here")

    @asynccontextmanager
    async def open_stores(_redis: str, _database: str) -> AsyncIterator[Stores]:
        yield house.stores

    @asynccontextmanager
    async def open_operations(_redis: str, _database: str) -> AsyncIterator[Operations]:
        yield house.stores.operations()

    return {"open_stores": open_stores, "open_operations": open_operations}


async def test_the_commands(
    house: House, running: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = text_of(await now_ms(house))
    file, page, lines = (tmp_path / name for name in ("a.csv", "a.html", "b.csv"))
    file.write_text("sku,on_hand\nA,4\n<b>&amp;,30\nC,3\n")
    run = {"warehouse": "north", "as_of": at, "rows": 3, "data_dir": tmp_path}
    code = await reconcile(
        file=file, **run, open_stores=running["open_stores"], as_json=True, html=page, csv=lines
    )
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (code, told["totals"]["skus_differing"]) == (1, 2)
    assert page.read_text().startswith("<!doctype html>")
    assert len(lines.read_text().splitlines()) == 3

    async def call(action: str, **more: Any) -> int:
        opened = running["open_operations"]
        return await reconciliations(action=action, data_dir=tmp_path, open_operations=opened, **more)

    called = {"reconciliation_id": told["reconciliation_id"]}
    assert await call("list") == 0
    assert f"{called['reconciliation_id']}  north" in capsys.readouterr().out
    assert await call("approve", **called, skus=["A"]) == 0
    assert capsys.readouterr().out == "1 applied\n"
    assert (await house.counts("A"))["on_hand"] == 4
    assert await call("show", **called) == 0
    assert "SKU A on_hand: expected 10, counted 4 (-6), less, unexplained, applied" in capsys.readouterr().out
    assert await call("undo", **called) == 0
    assert (await house.counts("A"))["on_hand"] == 10
    assert await call("undo", **called) == 0
    assert "nothing to do" in capsys.readouterr().out
    with pytest.raises(SellableError, match="no reconciliation has the id R0"):
        await call("show", reconciliation_id="R0")


async def test_the_command_refuses_what_cannot_be_compared(
    house: House, running: dict[str, Any], tmp_path: Path
) -> None:
    at = text_of(await now_ms(house))
    file = tmp_path / "cut.csv"
    file.write_text("sku,on_hand\nA,4\nB")
    run = {"file": file, "data_dir": tmp_path, "open_stores": running["open_stores"], "rows": None}
    with pytest.raises(SellableError, match=r"snapshot_incomplete.*does not end"):
        await reconcile(**run, warehouse="north", as_of=at)
    with pytest.raises(SellableError, match="in the future"):
        await reconcile(**run, warehouse="north", as_of="2199-01-01T00:00:00Z")
    with pytest.raises(SellableError, match="nothing was ever booked"):
        await reconcile(**run, warehouse="nowhere", as_of=at)
    with pytest.raises(SellableError, match="RFC 3339"):
        await reconcile(**run, warehouse="north", as_of="yesterday")
    body = {"warehouse": "south", "as_of": at, "counts": [{"sku": "A", "on_hand": 5}]}
    file = tmp_path / "south.json"
    file.write_text(json.dumps(body))
    with pytest.raises(SellableError, match="wrong_warehouse"):
        await reconcile(**(run | {"file": file}), warehouse="north", as_of=at)
