"""The past: counts and locks at any moment, every move with its cause, and how the ledger finds them quickly."""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.bootstrap import Stores
from app.domain.commands import Arrival, Confirm, Deduct, Line, Lock, Transfer, TransferReceive, TransferShip
from app.domain.past import Explanation
from app.errors import UnavailableError
from app.ledger import database, writer
from app.ledger.counts import CountRows
from app.ledger.past import FOREVER_MS, PastRows
from app.ledger.queries import sql
from app.ledger.writer import Writer
from tests.integration.books import BEGIN_MS, STATES, Book
from tests.integration.test_migrations import numbered
from tests.integration.warehouse import House, now, problem


async def get(house: House, path: str, **params: Any) -> dict[str, Any]:
    answer = await house.http.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def live_a_little(house: House) -> list[str]:
    """Some orders and a transfer of SKU A; returns a moment before, between and after."""
    hot, moments = house.stores.hot, [await now(house)]
    await hot.execute(Lock("order/1", (Line("A", 4, "north"),)))
    moments.append(await now(house))
    await hot.execute(Confirm("order/1"))
    await hot.execute(Deduct("order/1", "s1", (Line("A", 3, "north"),)))
    moments.append(await now(house))
    await hot.execute(Transfer("T", "south", "west", (Line("A", 2),)))
    await hot.execute(TransferShip("T", "s"))
    moments.append(await now(house))
    await hot.execute(TransferReceive("T", "r", None, (Arrival("A", 1, 1),)))
    moments.append(await now(house))
    return moments


# Over HTTP


async def test_stock_at_any_moment(house: House) -> None:
    moments = await live_a_little(house)
    await house.http.put("/v1/buffers", json={"warehouse": "north", "lines": [{"sku": "A", "quantity": 5}]})
    seen = [await get(house, "/v1/stock/A", as_of=at) for at in (*moments, await now(house))]
    shelves = [
        [
            (
                code,
                units["available"],
                units["locked"],
                units["damaged"],
                units["in_transit"],
                units["buffer"],
            )
            for code, units in one["warehouses"].items()
        ]
        for one in seen
    ]
    assert shelves == [
        [("north", 10, 0, 0, 0, 2), ("south", 5, 0, 0, 0, 0)],
        [("north", 6, 4, 0, 0, 2), ("south", 5, 0, 0, 0, 0)],
        [("north", 6, 1, 0, 0, 2), ("south", 5, 0, 0, 0, 0)],
        [("north", 6, 1, 0, 0, 2), ("south", 3, 0, 0, 0, 0), ("west", 0, 0, 0, 2, 0)],
        [("north", 6, 1, 0, 0, 2), ("south", 3, 0, 0, 0, 0), ("west", 1, 0, 1, 0, 0)],
        [("north", 6, 1, 0, 0, 5), ("south", 3, 0, 0, 0, 0), ("west", 1, 0, 1, 0, 0)],
    ]
    assert seen[-1] == await get(house, "/v1/stock/A")
    assert [one["version"] for one in seen] == [2, 3, 4, 6, 8, 9]


async def test_a_lock_at_any_moment(house: House) -> None:
    before, held, shipped, *_ = await live_a_little(house)
    await house.http.post("/v1/locks/order%2F1/unlock")
    ended = await now(house)
    path = "/v1/locks/order%2F1"
    problem(await house.http.get(path, params={"as_of": before}), 404, "unknown_lock")
    seen = [await get(house, path, as_of=at) for at in (held, shipped, ended)]
    assert [(one["status"], one["lines"][0]["quantity"], one["lines"][0]["deducted"]) for one in seen] == [
        ("held", 4, 0), ("partly_deducted", 4, 3), ("deducted", 3, 3),
    ]  # fmt: skip
    assert seen[0]["expires_at"] is not None
    assert seen[1]["expires_at"] is None
    assert seen[2] == await get(house, path)


async def test_every_unit_is_explained(house: House) -> None:
    *_, half, last = await live_a_little(house)
    told = await get(house, "/v1/stock/A/explain")
    places = {(one.get("warehouse"), one["place"]): one["units"] for one in told["places"]}
    assert told["total"] == sum(places.values()) == 0
    assert {place: units for place, units in places.items() if units} == {
        ("north", "available"): 6, ("north", "locked"): 1, ("south", "available"): 3, ("west", "available"): 1,
        ("west", "damaged"): 1, (None, "customer"): 3, (None, "adjustment"): -15,
    }  # fmt: skip
    assert told["version"] == 8
    newest = told["items"][0]
    assert (newest["cause"], newest["document"]) == ("transfer_receive", {"kind": "transfer", "id": "T"})
    assert [(one["cause"], one["from"], one["to"], one["quantity"]) for one in told["items"]] == [
        ("transfer_receive", "in_transit", "damaged", 1),
        ("transfer_receive", "in_transit", "available", 1),
        ("transfer_ship", "locked", "in_transit", 2),
        ("transfer", "available", "locked", 2),
        ("deduct", "locked", "customer", 3),
        ("lock", "available", "locked", 4),
        ("opening", "adjustment", "available", 5),
        ("opening", "adjustment", "available", 10),
    ]
    assert told["items"][4]["document"] == {"kind": "lock", "id": "order/1"}
    then = await get(house, "/v1/stock/A/explain", as_of=half)
    assert (then["total"], then["items"]) == (0, told["items"][2:])
    assert await get(house, "/v1/stock/A/explain", as_of=last) == told


async def test_pages_go_on_where_the_last_one_ended(house: House) -> None:
    await live_a_little(house)
    whole = (await get(house, "/v1/stock/A/explain"))["items"]
    for path, order, expected in (
        ("explain", {}, whole),
        ("history", {}, whole),
        ("history", {"order": "oldest"}, whole[::-1]),
    ):
        found, following = [], None
        while True:
            more = {"after": following} if following else {}
            page = await get(house, f"/v1/stock/A/{path}", limit=3, **order, **more)
            assert len(page["items"]) <= 3
            found += page["items"]
            if not (following := page["next"]):
                break
        assert found == expected


T0 = "2000-01-01T00:00:00Z"


BAD = [
    ("/v1/stock/A?as_of=2999-01-01T00:00:00Z", 422, "invalid_request"),
    ("/v1/stock/A?as_of=yesterday", 422, "invalid_request"),
    ("/v1/stock/A?as_of=", 422, "invalid_request"),
    ("/v1/stock/A?as_of=2025-02-30T00:00:00Z", 422, "invalid_request"),
    (f"/v1/stock/A?as_of={T0}", 422, "as_of_too_old"),
    (f"/v1/stock/A/explain?as_of={T0}", 422, "as_of_too_old"),
    (f"/v1/locks/L?as_of={T0}", 422, "as_of_too_old"),
    ("/v1/locks/L?as_of=2999-01-01T00:00:00Z", 422, "invalid_request"),
    ("/v1/stock/nobody/explain", 404, "unknown_sku"),
    ("/v1/stock/nobody/history", 404, "unknown_sku"),
    ("/v1/stock/A/explain?as_of=2999-01-01T00:00:00Z", 422, "invalid_request"),
    ("/v1/stock/A/explain?limit=0", 422, "invalid_request"),
    ("/v1/stock/A/explain?limit=1001", 422, "invalid_request"),
    ("/v1/stock/A/explain?after=x", 422, "invalid_request"),
    ("/v1/stock/A/explain?after=WzEsMl0x", 422, "invalid_request"),
    ("/v1/stock/A/explain?after=Wy0xLDJd", 422, "invalid_request"),
    ("/v1/stock/A/history?limit=1001", 422, "invalid_request"),
    ("/v1/stock/A/history?after=-1", 422, "invalid_request"),
    ("/v1/stock/A/history?order=sideways", 422, "invalid_request"),
]


async def test_bad_questions(house: House) -> None:
    for target, status, code in BAD:
        told = problem(await house.http.get(target), status, code)
        assert (code == "as_of_too_old") == ("since" in told), target


async def test_unknown_then(house: House) -> None:
    at = await now(house)
    problem(await house.http.get("/v1/stock/nobody", params={"as_of": at}), 404, "unknown_sku")


async def test_a_sku_nobody_knew_yet_was_nowhere(house: House) -> None:
    at = await now(house)
    line = {"sku": "new", "quantity": 3, "reason": "found"}
    body = {"adjustment_id": "a", "warehouse": "north", "lines": [line], "new_skus": True}
    assert (await house.http.post("/v1/adjustments", json=body)).status_code == 201
    told = await get(house, "/v1/stock/new", as_of=at)
    assert told == {"sku": "new", "version": 0, "warehouses": {}}


async def test_a_ledger_that_is_behind_says_nothing(stores: Stores) -> None:
    operations = stores.operations()  # nobody carries events into the ledger
    await stores.hot.execute(Lock("L", (Line("A", 1),)))
    impatient = replace(operations.past.durabilities, wait_seconds=0.05)
    operations = replace(operations, past=replace(operations.past, durabilities=impatient))
    with pytest.raises(UnavailableError, match="behind"):
        await operations.past.stock("A", 1)


# As of = replayed from zero

WAYS = ("ja", "sa", "al", "la", "lc", "ca", "cd", "ad", "da", "dj", "aj", "lt", "ta")
MINUTES = 60_000


@asynccontextmanager
async def ledger(url: str) -> AsyncIterator[PastRows]:
    engine = database.open_engine(url)
    yield PastRows(engine)
    await engine.dispose()


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Any, ...]]:
    """(way, units, warehouse, other warehouse or None, ms since the event before, when it happened)."""
    warehouse = st.sampled_from(["north", "south", "west"])
    step = st.tuples(
        st.sampled_from(WAYS),
        st.integers(0, 9),
        warehouse,
        st.one_of(st.none(), st.none(), warehouse),
        st.sampled_from([0, 1, 1, 7, 500]),
        # As it was recorded, or told late, or dated ahead; ties are likely.
        st.one_of(st.none(), st.none(), st.integers(-900, 300)),
    )
    return draw(st.lists(step, min_size=15, max_size=60))


def replayed(moves: list[tuple[int, Any]], at: int) -> dict[tuple[str | None, str], int]:
    """The units in each place, summed from zero."""
    sums: dict[tuple[str | None, str], int] = defaultdict(int)
    for occurred_at, move in moves:
        if occurred_at <= at:
            for place, warehouse, units in (
                (move.source, move.warehouse, -move.quantity),
                (move.target, move.to_warehouse or move.warehouse, move.quantity),
            ):
                sums[warehouse if place in STATES else None, place] += units
    return {place: units for place, units in sums.items() if units}


NAMES = {"a": "available", "l": "locked", "d": "damaged", "t": "in_transit", "s": "supplier", "c": "customer"}
NAMES |= {"j": "adjustment"}


async def compare(
    rows: PastRows, book: Book, sku: str, history: list[tuple[Any, ...]], batch: int, picks: list[Any]
) -> None:
    """Write a history in batches, and hold moments in and around it against the replay from zero."""
    moves = []
    for way, wanted, warehouse, other, wait, shift in history:
        # A locked or damaged count may not fall below zero, nor what is on its way.
        short = way[0] in "ldt" and book.counts[sku, warehouse][STATES.index(way[0])] < wanted
        to = other if other != warehouse and way[1] in STATES else None
        move = book.move(sku, way, 0 if short else wanted, warehouse, to=to)
        occurred_at = None if shift is None else book.at + wait + shift
        entry = book.add("adjust", move, at=wait, occurred_at=occurred_at)
        moves.append((entry.event.recorded_at if occurred_at is None else occurred_at, move))
    await book.write(batch)
    for at in {FOREVER_MS} | {moves[number % len(moves)][0] + more for number, more in picks}:
        told = await rows.explain(sku, at, None, 1_000)
        assert isinstance(told, Explanation)
        units = {(where, NAMES[place]): units for (where, place), units in replayed(moves, at).items()}
        assert {(one.warehouse, one.place): one.units for one in told.places if one.units} == units
        assert told.total == 0
        versions = sorted(move.version for when, move in moves if when <= at)
        assert sorted(one.version for one in told.moves) == versions
        shelf = (await CountRows(rows._engine).as_of("north", [sku, "nobody"], at))[sku]
        good = units.get(("north", "available"), 0) + units.get(("north", "locked"), 0)
        assert tuple(shelf) == (good, units.get(("north", "damaged"), 0))


PICKS = st.lists(
    st.tuples(st.integers(0, 59), st.sampled_from([-300, -1, 0, 0, 1])), min_size=10, max_size=20
)


def prove(url: str, monkeypatch: pytest.MonkeyPatch, examples: int) -> None:
    monkeypatch.setattr(writer, "BALANCE_MOVES", 7)
    loop, number = asyncio.new_event_loop(), iter(range(10_000))
    rows = PastRows(database.open_engine(url))
    book = Book(Writer(rows._engine, 0))
    book.open()

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(history=histories(), batch=st.integers(1, 12), picks=PICKS)
    def as_replayed(history: list[tuple[Any, ...]], batch: int, picks: list[Any]) -> None:
        loop.run_until_complete(compare(rows, book, f"S{next(number)}", history, batch, picks))

    async def end() -> int:
        async with database.driver_transaction(rows._engine) as pg:
            balances = await pg.fetchval("SELECT count(*) FROM balance")
        await rows._engine.dispose()
        return int(balances)

    try:
        as_replayed()
    finally:
        balances = loop.run_until_complete(end())
        loop.close()
    assert balances > examples


@pytest.mark.tier
def test_as_of_is_the_moves_replayed(emptied_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    prove(emptied_database_url, monkeypatch, 20)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_as_of_is_the_moves_replayed_at_length(
    emptied_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prove(emptied_database_url, monkeypatch, 300)


# Quickly

MOVES = 6_000
QUESTIONS: dict[str, dict[str, Any]] = {
    "stock_as_of": {"skus": ["hot"], "warehouse": None},
    "outside_as_of": {"sku": "hot"},
    "recorded_as_of": {"sku": "hot"},
    "history_down": {"sku": "hot", "after": MOVES // 2, "moves_max": 100},
    "history_up": {"sku": "hot", "after": MOVES // 2, "moves_max": 100},
    "explain_moves": {"sku": "hot", "version": MOVES // 2, "moves_max": 100},
    "lock_events": {"lock_id": "L77"},
    "knows_sku": {"sku": "hot"},
}


@pytest.fixture
async def busy(emptied_database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Book]:
    """A ledger with one SKU of very many moves, over several months, among others."""
    monkeypatch.setattr(writer, "BALANCE_MOVES", 500)
    async with ledger(emptied_database_url) as rows:
        book = Book(Writer(rows._engine, 0))
        book.open()
        book.add("opening", book.move("hot", "ja", MOVES))
        for number in range(MOVES - 1):
            others = [book.move(f"cold-{(number + step) % 997}", "ja", 1) for step in (0, 500)]
            hot = book.move("hot", ("al", "lc")[number % 2], 1)
            book.add("lock", hot, *others, at=1_000_000, lock=(f"L{number}", {"s": "held", "n": []}))
        await book.write(500)
        async with database.driver_transaction(rows._engine) as pg:
            await pg.execute("ANALYZE")
        yield book


async def test_indexes_are_used(busy: Book, emptied_database_url: str) -> None:
    """At any moment, a question reads a page, or the moves between two balances: never all of them."""
    connection = await asyncpg.connect(emptied_database_url)
    try:
        # So few rows might be read as they lie; what no index serves is read so all the same, and found below.
        await connection.execute("SET enable_seqscan = off")
        for name, values in QUESTIONS.items():
            for share in (0.1, 0.5, 0.95):
                at = datetime.fromtimestamp((BEGIN_MS + share * (busy.at - BEGIN_MS)) / 1000, UTC)
                given = values | ({"at": at} if ":at" in sql(name) else {})
                plan = await explained(connection, name, given)
                read = [one for one in plan if scanned(one).startswith(("move_", "event_"))]
                scans = [one for one in read if one["Node Type"] == "Seq Scan"]
                assert not any(one["Actual Loops"] for one in scans), (name, share, scans)
                rows = sum(one["Actual Rows"] * one["Actual Loops"] for one in read)
                assert rows < MOVES / 3, (name, share, rows)
    finally:
        await connection.close()


def scanned(node: dict[str, Any]) -> str:
    return str(node.get("Relation Name", ""))


async def explained(
    connection: asyncpg.Connection, name: str, values: dict[str, Any]
) -> list[dict[str, Any]]:
    """Every node of the plan of a statement that was run with these values."""
    text, order = sql(name), []
    for found in re.finditer(r"(?<![:\w]):([a-z_]+)", text):
        if found[1] not in order:
            order.append(found[1])
    arguments = [values[name] for name in order]
    told = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {numbered(text)}", *arguments)
    nodes, waiting = [], [json.loads(told)[0]["Plan"]]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        waiting += node.get("Plans", [])
    return nodes
