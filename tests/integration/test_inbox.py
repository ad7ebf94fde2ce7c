"""The inbox over HTTP: each event once, in whatever order, and what waits is booked, kept for a person, or dropped."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.bootstrap import Stores
from app.commands.inbox import inbox
from app.domain.inbox import Rules, SourceLimits
from app.errors import SellableError
from app.settings import Settings
from tests.integration.test_inbox_order import on_a_line
from tests.integration.warehouse import House, problem

WAIT_SECONDS = 1.0


@pytest.fixture
def test_settings() -> Settings:
    return Settings(trim_margin_seconds=0, inbox_wait_seconds=WAIT_SECONDS, inbox_sources="careful:5:0")


@pytest.fixture
async def house(stores: Stores) -> AsyncIterator[House]:
    async with on_a_line(stores) as house:  # which keeps the order of the events in a call
        yield house


def ago(seconds: float = 0) -> str:
    return (
        (datetime.now(UTC) - timedelta(seconds=seconds))
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def event(event_id: str, kind: str = "received", **more: Any) -> dict[str, Any]:
    units = {} if kind == "counted" else {"quantity": 3}
    when = {"occurred_at": ago(), "warehouse": "north", "sku": "A"}
    return {"event_id": event_id, "type": kind, **when, **units, **more}


async def send(house: House, *events: Any, source: str = "wms") -> list[tuple[str, str]]:
    answer = await house.http.post("/v1/warehouse-events", json={"source": source, "events": list(events)})
    assert answer.status_code == 200, answer.text
    return [(one["status"], one.get("detail", "")) for one in answer.json()["results"]]


async def counts(house: House, sku: str = "A", warehouse: str = "north") -> tuple[int, int, int]:
    found = await house.counts(sku, warehouse)
    return found["on_hand"], found["damaged"], found["in_transit"]


async def waiting(house: House) -> list[tuple[str, str]]:
    return [(row.event_id, row.status.value) for row in await house.operations.inbox.list(("", ""), 100)]


async def until_nothing_waits(house: House) -> None:
    async with asyncio.timeout(45):
        while await waiting(house):
            await asyncio.sleep(0.02)


async def test_an_event_counts_once(house: House) -> None:
    told = event("e1", damaged=2)
    assert await send(house, told, told) == [("applied", ""), ("duplicate", "")]
    assert await send(house, told) == [("duplicate", "")]
    assert await send(house, told | {"quantity": 4}) == [
        ("rejected", "event_id: was used with other content")
    ]
    assert await send(house, told, source="erp") == [("applied", "")]
    assert await counts(house) == (16, 4, 0)
    assert await house.differences() == []


BAD = {
    "an unknown type": ({"type": "vanished"}, "type: 'vanished' is none of received, shipped, "),
    "a negative quantity": ({"quantity": -1}, "quantity: must be from 0"),
    "a fraction": ({"quantity": 1.5}, "quantity: Expected"),
    "a text for a number": ({"quantity": "1"}, "quantity: '1' is a text: write a number, without quotes"),
    "nothing": ({"quantity": 0}, "quantity: must not be 0"),
    "no quantity": ({"quantity": None}, "quantity: is missing"),
    "too many": ({"quantity": 10**9 + 1}, "quantity: must be"),
    "2^53": ({"quantity": 2**53}, "quantity: must be"),
    "a number without end": ({"quantity": 10**40}, "quantity: must be"),
    "an unknown field": ({"colour": "red"}, "unknown field `colour`"),
    "a field of another type": ({"lost": 1}, "lost: does not apply"),
    "an id of another type": ({"lock_id": "L"}, "lock_id: does not apply"),
    "a shipment of nothing": ({"type": "shipped", "shipment_id": "s"}, "shipment_id: needs"),
    "a brace": ({"sku": "a{b"}, "sku: must not contain"),
    "a line break": ({"warehouse": "a\r\nb"}, "warehouse: must have printable"),
    "no time": ({"occurred_at": "yesterday"}, "occurred_at: must be an RFC 3339 time"),
    "a time without a zone": (
        {"occurred_at": "2026-01-01T00:00:00"},
        "occurred_at: must be an RFC 3339 time",
    ),
    "a sequence of 0": ({"sequence": 0}, "sequence: must be from 1"),
    "a reason with a NUL": ({"type": "adjusted", "reason": "a\u0000"}, "reason: must not contain"),
    "a condition of goods that came in": ({"condition": "damaged"}, "condition: does not apply"),
    "a count without a figure": ({"type": "counted", "quantity": None}, "on_hand: is missing"),
    "a count with a quantity": ({"type": "counted", "on_hand": 1}, "quantity: does not apply"),
}


async def test_a_bad_event_is_rejected_and_stops_no_other(house: House) -> None:
    bad = [{**event(f"bad{i}"), **more} for i, (more, _) in enumerate(BAD.values())]
    results = await send(house, event("e1"), *bad, 7, "text", [], {}, event("e2"))
    for name, (_, detail), (status, told) in zip(BAD, BAD.values(), results[1:], strict=False):
        assert (status, detail in told) == ("rejected", True), (name, told)
    assert [status for status, _ in results] == ["applied", *["rejected"] * (len(BAD) + 4), "applied"]
    assert await counts(house) == (16, 0, 0)
    assert await waiting(house) == []


WRITTEN: dict[str, tuple[str, str]] = {
    # an event as it is written (@: what it needs), and what is said of it; '' if it is taken
    "a whole number with a point": ('{@,"quantity":3.0}', ""),
    "an exponent": ('{@,"quantity":3e0}', ""),
    "a fraction": ('{@,"quantity":3.5}', "quantity: Expected `int | null`, got `float`"),
    "a huge exponent": ('{@,"quantity":1e300}', "quantity: Expected"),
    "a name twice": ('{@,"quantity":3,"quantity":4}', "quantity: is given more than once"),
    "a name twice, once escaped": (
        '{@,"quantity":3,"quantit\\u0079":4}',
        "quantity: is given more than once",
    ),
    "a name in a text": ('{@,"quantity":3,"reason":"say \\"sku\\": twice"}', ""),
    "an unknown name twice": (
        '{@,"quantity":3,"x":1,"x":1}',
        "x: is given more than once; unknown field `x`",
    ),
    "another field": ('{@,"quantity":3,"bin":"A-01"}', "unknown field `bin`"),
    "all that is wrong": ('{@,"quantity":-1,"bin":1}', "unknown field `bin`; quantity: must be"),
    "a number for a code": (
        '{@,"quantity":3,"receipt_id":7}',
        "receipt_id: 7 is a number: write it in quotes",
    ),
    "half a pair": ('{@,"quantity":3,"reason":"\\ud800"}', "has half of a surrogate pair"),
    "no number": ('{@,"quantity":NaN}', "is not JSON: NaN is no number"),
    "too deep": ('{@,"reason":' + "[" * 100_000 + "]" * 100_000 + "}", "is nested too deeply"),
    "an endless number": ('{@,"quantity":' + "9" * 5_000 + "}", "is not JSON"),
    "a list": ("[1]", "is no object"),
}


async def test_events_as_they_are_written(house: House) -> None:
    needed = (
        '"event_id":"{}","type":"received","occurred_at":"2026-01-01T00:00:00Z","warehouse":"north","sku":"A"'
    )
    lines = [text.replace("@", needed.format(f"w{n}")) for n, (text, _) in enumerate(WRITTEN.values())]
    answer = await house.http.post(
        "/v1/warehouse-events?source=wms",
        content="\ufeff\r\n" + "\r\n \r\n".join(lines),  # a last line need not end
        headers={"Content-Type": "application/x-ndjson"},
    )
    results = answer.json()["results"]
    for number, (name, (_, said)) in enumerate(WRITTEN.items()):
        assert results[number]["line"] == 2 + 2 * number, name
        assert (results[number]["status"] == "applied") == (not said), (name, results[number])
        assert results[number].get("detail", "").startswith(said), (name, results[number])
    assert answer.json()["counts"] == {"applied": 3, "rejected": len(WRITTEN) - 3}
    assert (await counts(house))[0] == 19


async def test_the_index_of_each_event_and_names_around_them(house: House) -> None:
    async def post(text: str) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        return await house.http.post("/v1/warehouse-events", content=text, headers=headers)

    events = json.dumps([event("i0", quantity=1), 7, event("i2", quantity=1)])
    told = (await post(f'\ufeff{{"source":"w\\u006ds","events":{events}}}')).json()
    assert [(one["index"], one["status"]) for one in told["results"]] == [
        (0, "applied"), (1, "rejected"), (2, "applied"),
    ]  # fmt: skip
    assert told["counts"] == {"applied": 2, "rejected": 1}
    for field, body in (
        ("source", f'{{"source":"a","source":"wms","events":{events}}}'),
        ("source", f'{{"source":"a","sourc\\u0065":"wms","events":{events}}}'),
        ("events", f'{{"events":[{{"source":"x"}}],"source":"a","events":{events}}}'),
    ):
        assert problem(await post(body), 422, "invalid_request")["errors"][0]["field"] == field
    # In an event it is that event's own affair.
    told = (await post('{"source":"a","events":[{"source":"x","source":"y"}]}')).json()
    assert told["counts"] == {"rejected": 1}


NO_CALLS = (
    b"",
    b"{",
    b"[]",
    b'{"source":"wms"}',
    b'{"source":"wms","events":[]}',
    b'{"source":"wms","events":{}}',
    b'{"source":"","events":[{}]}',
    b'{"source":"a{b","events":[{}]}',
    b'{"source":"wms","events":[{}],"x":1}',
    b'{"source":"wms","events":[NaN]}',
    b'{"source":"wms","events":[{}],"durability":"x"}',
    b"[" * 100_000,
    b"\xff",
)


async def test_a_call_that_is_no_call(house: House) -> None:
    async def post(content: bytes, kind: str = "application/json", query: str = "") -> httpx.Response:
        headers = {"Content-Type": kind}
        return await house.http.post(f"/v1/warehouse-events{query}", content=content, headers=headers)

    for content in NO_CALLS:
        problem(await post(content), 422, "invalid_request")
    many = b'{"source":"wms","events":[' + b",".join([b"{}"] * 10_001) + b"]}"
    problem(await post(many), 422, "invalid_request")
    problem(await post(b"{}", "application/x-ndjson"), 422, "invalid_request")
    problem(await post(b"{}", "text/csv", "?source=wms"), 415, "unsupported_media_type")
    problem(await post(b"{}", "application/json", "?source=wms"), 422, "invalid_request")
    problem(await post(b"{}", "application/x-ndjson", "?source=wms&x=1"), 422, "invalid_request")
    problem(await post(b" " * (16 * 1_048_576 + 1)), 413, "payload_too_large")


@pytest.mark.tier
async def test_ten_thousand_events_in_one_call(house: House) -> None:
    lines = [json.dumps(event(f"e{i}", sku=f"S{i % 50}", quantity=1)) for i in range(9_998)]
    body = "\n".join([*lines[:5_000], "{nonsense", *lines[5_000:], lines[0], ""])
    answer = await house.http.post(
        "/v1/warehouse-events?source=wms&durability=ledger",
        content=body,
        headers={"Content-Type": "application/x-ndjson"},
    )
    results = answer.json()["results"]
    assert answer.json()["durability"] == "ledger"
    assert [i for i, one in enumerate(results) if one["status"] != "applied"] == [5_000, 9_999]
    assert (results[5_000]["status"], results[5_000]["event_id"], results[9_999]["status"]) == (
        "rejected",
        None,
        "duplicate",
    )
    assert (await counts(house, "S0"))[0] + (await counts(house, "S49"))[0] == 200 + 199
    assert await house.differences() == []


async def test_every_type_of_event(house: House) -> None:
    lock = {"lock_id": "L", "lines": [{"sku": "A", "quantity": 4, "warehouse": "north"}]}
    await house.http.post("/v1/locks", json=lock)
    move = {"transfer_id": "T", "from": "north", "to": "south", "lines": [{"sku": "A", "quantity": 2}]}
    await house.http.post("/v1/transfers", json=move)
    results = await send(
        house,
        event("e1", "shipped", quantity=4, lock_id="L", shipment_id="s1"),
        event("e2", "returned", quantity=1, lock_id="L", condition="damaged"),
        event("e3", "adjusted", quantity=-1, reason="broken"),
        event("e4", "transfer_shipped", quantity=2, transfer_id="T", shipment_id="s1"),
        event(
            "e5", "transfer_received", quantity=1, lost=1, warehouse="south", transfer_id="T", receipt_id="r1"
        ),
    )
    assert results == [("applied", "")] * 5
    assert (await counts(house), await counts(house, warehouse="south")) == ((3, 1, 0), (6, 0, 0))
    assert (await house.http.get("/v1/locks/L")).json()["status"] == "deducted"
    assert (await house.http.get("/v1/transfers/T")).json()["status"] == "received"
    again = await house.http.post("/v1/locks/L/deduct", json={"shipment_id": "s1"})
    assert (again.status_code, again.json()["status"]) == (200, "deducted")
    again = await house.http.post("/v1/transfers/T/ship", json={"shipment_id": "s1"})
    assert (again.status_code, again.json()["status"]) == (200, "received")
    assert await counts(house) == (3, 1, 0)
    assert await house.differences() == []


async def test_a_shipment_by_a_route_first(house: House) -> None:
    lock = {"lock_id": "L", "lines": [{"sku": "A", "quantity": 4, "warehouse": "north"}]}
    await house.http.post("/v1/locks", json=lock)
    await house.http.post("/v1/locks/L/deduct", json={"shipment_id": "s1"})
    shipped = event("e1", "shipped", quantity=4, lock_id="L", shipment_id="s1")
    assert await send(house, shipped, shipped) == [("duplicate", "")] * 2
    assert await counts(house) == (6, 0, 0)


async def test_what_shipped_beyond_its_lock_opens_a_case(house: House) -> None:
    for lock_id, units in (("L1", 3), ("L2", 5)):
        line = {"sku": "A", "quantity": units, "warehouse": "north"}
        await house.http.post("/v1/locks", json={"lock_id": lock_id, "lines": [line]})
    told = event("e1", "shipped", quantity=6, lock_id="L1", shipment_id="s1")
    assert await send(house, told) == [("applied", "beyond its lock")]
    await house.caught_up()
    (case,) = (await house.http.get("/v1/shortages")).json()["items"]
    assert (case["units"], [one["lock_id"] for one in case["locks"]]) == (1, ["L2"])
    assert (await house.counts("A"))["sellable"] == 0
    assert await house.differences() == []


async def test_events_out_of_their_order_wait_for_the_others(house: House) -> None:
    third, second, first = (event(f"e{i}", sequence=i) for i in (3, 2, 1))
    early = ("parked", "others come before it in the sequence")
    assert await send(house, third) == [early]
    assert await send(house, second, third) == [early, early]
    assert await counts(house) == (10, 0, 0)
    assert await send(house, first) == [("applied", "")]
    await until_nothing_waits(house)
    assert await counts(house) == (19, 0, 0)
    assert [status for status, _ in await send(house, third, second, first)] == ["duplicate"] * 3
    assert (
        await send(house, event("e4", sequence=4), event("s1", sequence=1, warehouse="south"))
        == [("applied", "")] * 2
    )
    assert await house.differences() == []


async def test_a_gap_that_does_not_close_holds_up_nobody_for_ever(house: House) -> None:
    await send(house, event("e1", sequence=1), event("e3", sequence=3), event("e5", sequence=5))
    assert await counts(house) == (13, 0, 0)
    await until_nothing_waits(house)
    assert await counts(house) == (19, 0, 0)
    assert await send(house, event("e2", sequence=2), event("e6", sequence=6)) == [("applied", "")] * 2
    assert await counts(house) == (25, 0, 0)


async def test_events_about_documents_that_come_later(house: House) -> None:
    parked = await send(
        house,
        event("e1", "shipped", quantity=2, lock_id="L", sequence=1),
        event("e2", "transfer_shipped", quantity=2, transfer_id="T", sequence=2),
        event("e3", purchase_order_id="P", sequence=3),
        event("e4", sequence=4),
    )
    assert [status for status, _ in parked] == ["parked", "parked", "parked", "applied"]
    lock = {"lock_id": "L", "lines": [{"sku": "A", "quantity": 2, "warehouse": "north"}]}
    await house.http.post("/v1/locks", json=lock)
    move = {"transfer_id": "T", "from": "north", "to": "south", "lines": [{"sku": "A", "quantity": 2}]}
    await house.http.post("/v1/transfers", json=move)
    plan = {"purchase_order_id": "P", "warehouse": "north", "lines": [{"sku": "A", "quantity": 3}]}
    await house.http.post("/v1/purchase-orders", json=plan)
    await until_nothing_waits(house)
    assert (await house.http.get("/v1/locks/L")).json()["status"] == "deducted"
    assert (await counts(house), await counts(house, warehouse="south")) == ((12, 0, 0), (5, 0, 2))
    await house.caught_up()
    assert (await house.http.get("/v1/purchase-orders/P")).json()["status"] == "received"
    assert await house.differences() == []


async def test_events_about_documents_that_never_come_are_booked_and_flagged(house: House) -> None:
    parked = await send(
        house,
        event("e1", "shipped", quantity=2, lock_id="L"),
        event("e2", "returned", quantity=1, lock_id="L"),
        event("e3", "transfer_received", quantity=4, transfer_id="T"),
        event("e4", purchase_order_id="P"),
        event("e5", "adjusted", quantity=-1, condition="damaged"),
    )
    assert [status for status, _ in parked] == ["parked"] * 5
    assert await counts(house) == (10, 0, 0)
    await until_nothing_waits(house)
    assert await counts(house) == (15, 0, 0)
    assert await house.differences() == []


async def test_what_waits_for_a_person(house: House, tmp_path: Path) -> None:
    old, soon = ago(10 * 365.25 * 86_400), ago(-3_600)
    results = await send(
        house,
        event("e1", quantity=100_001),
        event("e2", occurred_at=old),
        event("e3", occurred_at=soon),
        event("e4", quantity=100_000),
        event("e5", occurred_at="9999-12-31T23:59:59Z", sequence=1),
    )
    assert [status for status, _ in results] == [*["quarantined"] * 3, "applied", "quarantined"]
    careful = await send(
        house,
        event("c1", quantity=6),
        event("c2", quantity=5),
        event("c3", occurred_at=ago(-2)),
        source="careful",
    )
    assert [status for status, _ in careful] == ["quarantined", "applied", "quarantined"]
    assert len(await waiting(house)) == 6
    retried = await house.operations.inbox.retry("wms", "e2")
    assert retried is not None
    assert retried.status == "applied"
    dropped = await house.operations.inbox.drop("wms", "e1", "a typing error", who="clerk")
    assert dropped is not None
    assert dropped.status == "dropped"
    assert await send(house, event("e1", quantity=100_001)) != [("applied", "")]
    assert await house.operations.inbox.retry("wms", "e1") is None
    assert await counts(house) == (10 + 100_000 + 5 + 3, 0, 0)
    assert await house.differences() == []


async def test_of_one_id_with_several_contents_the_first_stands(house: House) -> None:
    first = event("e1", "shipped", lock_id="L")
    reused = ("rejected", "event_id: was used with other content")
    assert await send(house, first, first | {"lock_id": "M"}) == [
        ("parked", "no lock is called this"),
        reused,
    ]
    assert await send(house, first | {"lock_id": "M"}) == [reused]
    assert await counts(house) in {(10, 0, 0), (7, 0, 0)}  # on a slow machine its wait is over by now


async def test_a_repeat_of_what_was_booked_is_never_kept(house: House) -> None:
    """However the limits have changed since: it was booked, and that is what the answer says."""
    told = event("e1", quantity=6)
    assert await send(house, told) == [("applied", "")]
    object.__setattr__(house.operations.inbox, "rules", Rules(SourceLimits(5, 0)))
    assert await send(house, told, told | {"quantity": 7}) == [
        ("duplicate", ""),
        ("rejected", "event_id: was used with other content"),
    ]
    assert await waiting(house) == []
    assert await counts(house) == (16, 0, 0)


async def test_the_command_lists_retries_and_drops(
    house: House, held_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await send(house, event("c1", quantity=6), event("c2", quantity=7), source="careful")

    async def run(action: str, **more: Any) -> tuple[int, str]:
        (held_dir / "run.json").write_text(json.dumps({"redis": "redis://x", "database": "postgresql://x"}))

        class Opened:
            async def __aenter__(self) -> Any:
                return house.operations

            async def __aexit__(self, *_: object) -> None: ...

        code = await inbox(action=action, data_dir=held_dir, open_operations=lambda *_: Opened(), **more)
        return code, capsys.readouterr().out

    code, told = await run("list")
    assert (code, told.splitlines()[-1]) == (0, "2 waiting")
    assert "careful c1  quarantined: received 6 of A in north: it is about more than 5 units" in told
    items = json.loads((await run("list", as_json=True))[1])["items"]
    assert [one["event_id"] for one in items] == ["c1", "c2"]
    assert await run("retry", source="careful", event_id="c1") == (0, "careful c1: applied\n")
    code, told = await run("drop", source="careful", event_id="c2", reason="twice")
    assert (code, told) == (0, "careful c2: dropped, twice\n")
    with pytest.raises(SellableError):
        await run("retry", source="careful", event_id="c2")
    assert await counts(house) == (16, 0, 0)


async def test_counts_stand_whatever_comes_late(house: House) -> None:
    at, before, after = ago(60), ago(90), ago(30)
    assert await send(house, event("e1", "counted", occurred_at=at, on_hand=0, damaged=0)) == [
        ("applied", "")
    ]
    assert (await counts(house))[0] == 10  # the opening came after the count, which was of nothing: it stands
    assert await send(house, event("e2", quantity=4, damaged=1, occurred_at=before)) == [("applied", "")]
    assert await counts(house) == (10, 0, 0)
    assert await send(house, event("e3", quantity=4, damaged=1, occurred_at=after)) == [("applied", "")]
    assert await counts(house) == (14, 1, 0)
    earlier = event("e4", "counted", occurred_at=ago(75), on_hand=7)
    assert await send(house, earlier, earlier) == [("applied", ""), ("duplicate", "")]
    assert await counts(house) == (14, 1, 0)
    assert await send(house, event("e5", "counted", occurred_at=ago(), on_hand=3)) == [("applied", "")]
    assert await counts(house) == (3, 1, 0)
    assert await house.differences() == []


async def test_many_counts_at_once_in_their_sequence(house: House) -> None:
    events = [
        event(f"e{i}", "counted", sku=f"S{i % 100}", on_hand=i, occurred_at=ago(300 - i), sequence=i)
        for i in range(1, 201)
    ]
    results = await send(house, *reversed(events))
    assert results == [("applied", "")] * 200
    assert [(await counts(house, f"S{i}"))[0] for i in (0, 1, 99)] == [200, 101, 199]
    assert await house.differences() == []


async def test_a_route_s_facts_of_before_a_count_change_nothing_of_it(house: House) -> None:
    at, before = ago(60), ago(90)
    take = {
        "stock_take_id": "S",
        "warehouse": "north",
        "counted_at": at,
        "lines": [{"sku": "A", "on_hand": 1}],
    }
    await house.http.post("/v1/stock-takes", json=take)
    there = await counts(house)
    line = {"sku": "A", "quantity": 5, "condition": "sellable"}
    body = {"return_id": "R", "warehouse": "north", "occurred_at": before, "lines": [line]}
    assert (await house.http.post("/v1/returns", json=body)).status_code == 201
    line = {"sku": "A", "quantity": -3, "reason": "lost"}
    body = {"adjustment_id": "A", "warehouse": "north", "occurred_at": before, "lines": [line]}
    assert (await house.http.post("/v1/adjustments", json=body)).status_code == 201
    assert await counts(house) == there
    assert await house.differences() == []


async def send_patiently(house: House, *events: Any) -> list[tuple[str, str]]:
    """Send until the gate is open: the worker compares the stores once more, and shuts it meanwhile."""
    async with asyncio.timeout(45):
        body = {"source": "wms", "events": list(events)}
        while (answer := await house.http.post("/v1/warehouse-events", json=body)).status_code == 503:
            await asyncio.sleep(0.02)
    assert answer.status_code == 200, answer.text
    return [(one["status"], one.get("detail", "")) for one in answer.json()["results"]]


async def test_a_rebuilt_store_remembers_all_of_it(house: House) -> None:
    first = event("e1", sequence=1, receipt_id="R")
    await send(house, first, event("e2", "counted", occurred_at=ago(60), on_hand=5))
    there = await counts(house)
    await house.caught_up()
    async with asyncio.timeout(45):
        while not await house.stores.recovery().ensure_open(force_rebuild=True):  # the worker looks at it too
            await asyncio.sleep(0.02)
        while (await house.http.get("/v1/stock/A")).status_code != 200:
            await asyncio.sleep(0.02)
    assert await send_patiently(house, first) == [("duplicate", "")]
    lots = event("e3", receipt_id="R"), event("e4", sequence=2)  # another lot of the receipt adds up
    assert await send_patiently(house, *lots) == [("applied", "")] * 2
    assert await send_patiently(house, event("e5", occurred_at=ago(90))) == [("applied", "")]
    await house.ready()
    assert await counts(house) == (there[0] + 6, *there[1:])
    assert await house.differences() == []


async def test_an_event_that_was_forgotten_is_still_known(house: House) -> None:
    told = event("e1", occurred_at=ago(200_000))
    assert await send(house, told) == [("applied", "")]
    await house.caught_up()
    await house.stores.client.delete(house.stores.keys.op("event:wms{e1"))
    assert await send(house, told, told | {"quantity": 9}) == [
        ("duplicate", ""),
        ("rejected", "event_id: was used with other content"),
    ]
    assert await counts(house) == (13, 0, 0)


async def test_what_comes_back_of_a_lock_that_was_forgotten(house: House) -> None:
    lock = {"lock_id": "L", "lines": [{"sku": "A", "quantity": 2, "warehouse": "north"}]}
    await house.http.post("/v1/locks", json=lock)
    await house.http.post("/v1/locks/L/deduct", json={"shipment_id": "s1"})
    await house.caught_up()
    await house.stores.client.delete(house.stores.keys.lock("L"))

    async def give_back(return_id: str) -> httpx.Response:
        line = {"sku": "A", "quantity": 1, "condition": "sellable"}
        body = {"return_id": return_id, "warehouse": "north", "lock_id": "L", "lines": [line]}
        return await house.http.post("/v1/returns", json=body)

    assert (await give_back("r1")).status_code == 201
    await house.caught_up()
    await house.stores.client.delete(house.stores.keys.lock("L"))
    assert await send(house, event("e1", "returned", quantity=1, lock_id="L")) == [("applied", "")]
    problem(await give_back("r2"), 409, "quantity_exceeds_shipment")
    assert await counts(house) == (10, 0, 0)
    assert await house.differences() == []


ROUTES = {
    "/v1/returns": {
        "return_id": "R",
        "warehouse": "north",
        "lines": [{"sku": "A", "quantity": 1, "condition": "sellable"}],
    },
    "/v1/adjustments": {
        "adjustment_id": "R",
        "warehouse": "north",
        "lines": [{"sku": "A", "quantity": 1, "reason": "x"}],
    },
    "/v1/purchase-orders/P/receipts": {"receipt_id": "R", "lines": [{"sku": "A", "quantity": 1}]},
    "/v1/transfers/T/ship": {"shipment_id": "s"},
    "/v1/transfers/T/receive": {"receipt_id": "r", "lines": [{"sku": "A", "quantity": 1}]},
}


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("seconds", [-3_600, 10 * 365.25 * 86_400])
async def test_routes_refuse_times_that_nobody_meant(house: House, path: str, seconds: float) -> None:
    refused = problem(
        await house.http.post(path, json=ROUTES[path] | {"occurred_at": ago(seconds)}), 422, "invalid_request"
    )
    assert refused["errors"][0]["field"] == "occurred_at"


async def test_what_routes_refuse_events_book_or_keep(house: House) -> None:
    """An unknown order, more than a transfer sent, goods returned twice."""
    http = house.http
    receipt = {"receipt_id": "R", "lines": [{"sku": "A", "quantity": 1}]}
    problem(await http.post("/v1/purchase-orders/P/receipts", json=receipt), 404, "unknown_purchase_order")
    assert (await send(house, event("e1", purchase_order_id="P")))[0][0] == "parked"
    move = {"transfer_id": "T", "from": "north", "to": "south", "lines": [{"sku": "A", "quantity": 2}]}
    await http.post("/v1/transfers", json=move)
    await http.post("/v1/transfers/T/ship", json={"shipment_id": "s"})
    arrived = {"receipt_id": "r", "lines": [{"sku": "A", "quantity": 3}]}
    problem(await http.post("/v1/transfers/T/receive", json=arrived), 409, "quantity_exceeds_transfer")
    told = event("e2", "transfer_received", quantity=3, warehouse="south", transfer_id="T")
    assert await send(house, told) == [("applied", "beyond its transfer")]
    assert await counts(house, warehouse="south") == (8, 0, 0)
    problem(
        await http.post("/v1/transfers", json=move | {"transfer_id": "U", "to": "north"}),
        422,
        "invalid_request",
    )
    lock = {"lock_id": "L", "lines": [{"sku": "A", "quantity": 1, "warehouse": "north"}]}
    await http.post("/v1/locks", json=lock)
    await http.post("/v1/locks/L/deduct", json={"shipment_id": "s"})
    back = {"return_id": "r1", "warehouse": "north", "lock_id": "L"}
    lines = {"lines": [{"sku": "A", "quantity": 1, "condition": "sellable"}]}
    assert (await http.post("/v1/returns", json=back | lines)).status_code == 201
    problem(
        await http.post("/v1/returns", json=back | lines | {"return_id": "r2"}),
        409,
        "quantity_exceeds_shipment",
    )
    assert await send(house, event("e3", "returned", quantity=1, lock_id="L")) == [
        ("applied", "more than was shipped")
    ]
    swap = {"exchange_id": "x", "warehouse": "north", "returned": lines["lines"]}
    wanted = {"lock": {"lock_id": "M", "lines": [{"sku": "A", "quantity": 99}]}}
    there = await counts(house)
    problem(await http.post("/v1/exchanges", json=swap | wanted), 409, "insufficient_stock")
    assert await counts(house) == there
    assert await house.differences() == []
