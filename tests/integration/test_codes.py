"""Codes: warehouses are a list, SKUs come into being on purpose, and a typo is refused with what it was meant to be."""

import asyncio
import itertools
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.api.hot.build import build_hot
from app.api.hot.checkout import _lock
from app.bootstrap import Stores
from app.domain.codes import UnknownCode, key_of
from app.domain.commands import OpeningRow
from app.domain.ranking import Ranking
from app.domain.warehouses import Warehouse
from app.hotstore.keys import Keys
from app.ledger import database
from app.ledger.warehouses import WarehouseRows
from app.operations.warehouses import Warehouses
from app.settings import Settings
from app.telemetry import Metrics
from tests import servers
from tests.integration.api_client import NOWHERE
from tests.integration.clerk import CASES, Clerk, Said, clerk_of, numbered
from tests.integration.warehouse import House, house_on, problem

LINE = {"sku": "A", "quantity": 1}
AT = "2026-01-05T08:00:00Z"


@pytest.mark.parametrize(
    ("code", "key"),
    [
        ("TEE-XL", "tee-xl"),
        ("'00125", "125"),
        ("\u2019125", "125"),
        (" Hub  East", "hubeast"),
        ("STRASSE", "strasse"),
        ("Stra\u00dfe", "strasse"),
        ("000", ""),
        ("A-001", "a-001"),
    ],
)
def test_what_makes_codes_alike(code: str, key: str) -> None:
    assert key_of(code) == key


async def test_the_list(house: House) -> None:
    http = house.http
    told = (await http.get("/v1/warehouses")).json()
    assert [one["code"] for one in told["items"]] == ["east", "main", "north", "south", "west"]
    units = {"skus": 1, "on_hand": 10, "available": 10, "locked": 0, "damaged": 0, "in_transit": 0}
    north = {"code": "north", "name": "", "rank": None, "closed": False}
    assert (await http.get("/v1/warehouses/north")).json() == north | {"units": units}
    new = {"code": "hall/2", "name": "Hall 2", "rank": 3, "closed": False, "durability": "ledger"}
    for _ in range(2):
        put = await http.put("/v1/warehouses/hall%2F2", json={"name": "Hall 2", "rank": 3})
        assert (put.status_code, put.json()) == (200, new)
    assert (await http.put("/v1/warehouses/hall%2F2", json={"rank": None})).json() == new | {"rank": None}
    assert (await http.put("/v1/warehouses/hall%2F2")).json() == new | {"rank": None}
    page = (await http.get("/v1/warehouses?limit=2&after=east")).json()
    assert ([one["code"] for one in page["items"]], page["next"]) == (["hall/2", "main"], "main")
    problem(await http.get("/v1/warehouses/nowhere"), 404, "unknown_warehouse")
    for body in ({"rank": "1"}, {"rank": -1}, {"name": "a\u0000b"}, {"closed": 1}, {"code": "x"}):
        problem(await http.put("/v1/warehouses/north", json=body), 422, "invalid_request")
    problem(await http.put("/v1/warehouses/a%22b", json={}), 422, "invalid_request")


RETURNED = {"sku": "A", "quantity": 1, "condition": "sellable"}
LOCK = {"lock_id": "L", "lines": [LINE]}
UNKNOWN_WAREHOUSE: list[tuple[str, str, dict[str, Any] | None, str]] = [
    ("POST", "/v1/locks", LOCK | {"warehouses": ["south", "North"]}, "warehouses[1]"),
    ("POST", "/v1/locks", LOCK | {"lines": [LINE, LINE | {"warehouse": "North"}]}, "lines[1].warehouse"),
    ("POST", "/v1/locks/L/replace", {"lines": [LINE | {"warehouse": "North"}]}, "lines[0].warehouse"),
    ("POST", "/v1/locks/L/unlock", {"lines": [LINE | {"warehouse": "North"}]}, "lines[0].warehouse"),
    (
        "POST",
        "/v1/locks/L/deduct",
        {"shipment_id": "s", "lines": [LINE | {"warehouse": "North"}]},
        "lines[0].warehouse",
    ),
    ("POST", "/v1/returns", {"return_id": "r", "warehouse": "North", "lines": [RETURNED]}, "warehouse"),
    (
        "POST",
        "/v1/exchanges",
        {
            "exchange_id": "x",
            "warehouse": "north",
            "returned": [RETURNED],
            "lock": LOCK | {"warehouses": ["North"]},
        },
        "lock.warehouses[0]",
    ),
    (
        "POST",
        "/v1/adjustments",
        {"adjustment_id": "a", "warehouse": "North", "lines": [LINE | {"reason": "found"}]},
        "warehouse",
    ),
    ("POST", "/v1/transfers", {"transfer_id": "t", "from": "north", "to": "South", "lines": [LINE]}, "to"),
    ("PUT", "/v1/buffers", {"warehouse": "North", "lines": [LINE]}, "warehouse"),
    (
        "POST",
        "/v1/purchase-orders",
        {"purchase_order_id": "p", "warehouse": "North", "lines": [LINE]},
        "warehouse",
    ),
    (
        "POST",
        "/v1/stock-takes",
        {
            "stock_take_id": "c",
            "warehouse": "North",
            "counted_at": AT,
            "lines": [{"sku": "A", "on_hand": 1}],
        },
        "warehouse",
    ),
    ("GET", "/v1/availability/A?warehouses=south,North", None, "warehouses"),
    ("GET", "/v1/expected?warehouse=North", None, "warehouse"),
    ("GET", "/v1/reconciliations?warehouse=North", None, "warehouse"),
    (
        "POST",
        "/v1/reconciliations",
        {"warehouse": "North", "as_of": AT, "counts": [{"sku": "A", "on_hand": 1}]},
        "warehouse",
    ),
]


async def test_an_unknown_warehouse_is_refused_with_what_it_was_meant_to_be(house: House) -> None:
    for method, path, body, field in UNKNOWN_WAREHOUSE:
        headers = {"Idempotency-Key": "k"}
        told = problem(
            await house.http.request(method, path, json=body, headers=headers), 422, "unknown_warehouse"
        )
        assert told["near"] == ["south" if field == "to" else "north"], path
        assert [error["field"] for error in told["errors"]] == [field], path
    told = problem(await house.http.get("/v1/availability/A?warehouses=moon"), 422, "unknown_warehouse")
    assert told["near"] == []
    assert await house.differences() == []


UNKNOWN_SKU: list[tuple[str, str, dict[str, Any], str, int]] = [
    # method, path, body, field, and what "new_skus" makes of it
    ("POST", "/v1/returns", {"return_id": "r", "warehouse": "north", "lines": [RETURNED]}, "lines[0].sku", 201),
    (
        "POST",
        "/v1/exchanges",
        {"exchange_id": "x", "warehouse": "north", "returned": [RETURNED], "lock": LOCK | {"lock_id": "X"}},
        "returned[0].sku",
        201,
    ),
    (
        "POST",
        "/v1/adjustments",
        {"adjustment_id": "a", "warehouse": "north", "lines": [LINE | {"reason": "found"}]},
        "lines[0].sku",
        201,
    ),
    (
        "POST",
        "/v1/transfers",
        {"transfer_id": "t", "from": "north", "to": "south", "lines": [LINE]},
        "lines[0].sku",
        409,
    ),
    ("PUT", "/v1/buffers", {"warehouse": "north", "lines": [LINE]}, "lines[0].sku", 200),
    (
        "POST",
        "/v1/stock-takes",
        {"stock_take_id": "c", "warehouse": "north", "counted_at": AT, "lines": [{"sku": "A", "on_hand": 1}]},
        "lines[0].sku",
        201,
    ),
]  # fmt: skip


async def test_an_unknown_sku_is_refused_with_what_it_was_meant_to_be(house: House) -> None:
    for number, (method, path, body, field, then) in enumerate(UNKNOWN_SKU):
        sku = f"TEE-{number}"
        await house.operations.codes.warehouses.add(["north"])
        order = {"purchase_order_id": f"P{number}", "warehouse": "north", "lines": [LINE | {"sku": sku}]}
        assert (await house.http.post("/v1/purchase-orders", json=order)).status_code == 201
        typo = json.loads(json.dumps(body).replace('"sku": "A"', f'"sku": "tee-{number}"', 1))
        told = problem(await house.http.request(method, path, json=typo), 422, "unknown_sku")
        assert (told["near"], [error["field"] for error in told["errors"]]) == ([sku], [field]), path
        assert told["unknown"] == [{"sku": f"tee-{number}", "near": [sku]}]
        done = await house.http.request(method, path, json=typo | {"new_skus": True})
        assert done.status_code == then, done.text
        # What was ordered is known, be it that nothing of it has come yet.
        ordered = json.loads(json.dumps(body).replace('"sku": "A"', f'"sku": "{sku}"', 1))
        for name in ("return_id", "exchange_id", "adjustment_id", "transfer_id", "stock_take_id"):
            if name in ordered:
                ordered[name] += "-2"
        if "lock" in ordered:
            ordered["lock"]["lock_id"] += "-2"
        assert (await house.http.request(method, path, json=ordered)).status_code == then, path
    told = problem(
        await house.http.post("/v1/locks", json=LOCK | {"lines": [LINE | {"sku": "a"}]}),
        409,
        "insufficient_stock",
    )
    assert told["shortages"][0]["unknown"] is True
    assert await house.differences() == []


async def test_an_unknown_sku_in_a_step_is_refused_with_what_it_was_meant_to_be(house: House) -> None:
    """And one that is known, of which the document holds none, as a quantity: nothing is meant otherwise."""
    http = house.http
    await house.operations.openings.book([OpeningRow("TEE-9", "north", 5), OpeningRow("MUG", "north", 5)])
    await http.post("/v1/locks", json={"lock_id": "L", "lines": [{"sku": "TEE-9", "quantity": 2}]})
    await http.post(
        "/v1/transfers",
        json={"transfer_id": "t", "from": "north", "to": "south", "lines": [{"sku": "TEE-9", "quantity": 2}]},
    )
    for path, more in (
        ("/v1/locks/L/unlock", {}),
        ("/v1/locks/L/deduct", {"shipment_id": "s"}),
        ("/v1/transfers/t/ship", {"shipment_id": "s"}),
        ("/v1/transfers/t/receive", {"receipt_id": "r"}),
    ):
        for sku, near in (("tee-9", ["TEE-9"]), ("moon", [])):
            body = more | {"lines": [{"sku": "TEE-9", "quantity": 1}, {"sku": sku, "quantity": 1}]}
            answer = await http.post(path, json=body, headers={"Idempotency-Key": "k"})
            told = problem(answer, 422, "unknown_sku")
            assert (told["near"], told["errors"][0]["field"]) == (near, "lines[1].sku"), path
            assert "new_skus" not in told["detail"]
        answer = await http.post(
            path, json=more | {"lines": [{"sku": "MUG", "quantity": 1}]}, headers={"Idempotency-Key": "k"}
        )
        problem(answer, 409, f"quantity_exceeds_{'lock' if 'lock' in path else 'transfer'}")
    assert await house.differences() == []


async def test_a_closed_warehouse_promises_nothing_more(house: House) -> None:
    http = house.http
    held = await http.post("/v1/locks", json=LOCK | {"lock_id": "before"})
    assert held.json()["lines"][0]["warehouse"] == "north"
    booked: list[tuple[str, dict[str, Any]]] = [
        ("/v1/locks", LOCK | {"lock_id": "named", "warehouses": ["north"]}),
        ("/v1/transfers", {"transfer_id": "before", "from": "south", "to": "north", "lines": [LINE]}),
        ("/v1/purchase-orders", {"purchase_order_id": "before", "warehouse": "north", "lines": [LINE]}),
        (
            "/v1/adjustments",
            {"adjustment_id": "b", "warehouse": "north", "lines": [LINE | {"reason": "found"}]},
        ),
    ]
    for path, body in booked:
        assert (await http.post(path, json=body)).status_code == 201, path
    await house.caught_up()
    assert (await http.put("/v1/warehouses/north", json={"closed": True})).json()["closed"] is True
    for path, body in booked:
        assert (await http.post(path, json=body)).status_code == 200, path
    for method, path, body in (
        ("POST", "/v1/locks", LOCK | {"warehouses": ["north"]}),
        ("POST", "/v1/transfers", {"transfer_id": "t", "from": "south", "to": "north", "lines": [LINE]}),
        ("POST", "/v1/purchase-orders", {"purchase_order_id": "p", "warehouse": "north", "lines": [LINE]}),
    ):
        problem(await http.request(method, path, json=body), 409, "warehouse_closed")
    elsewhere = await http.post("/v1/locks", json=LOCK)
    assert elsewhere.json()["lines"][0]["warehouse"] == "south"
    many = await http.post("/v1/locks", json={"lock_id": "many", "lines": [{"sku": "A", "quantity": 5}]})
    assert problem(many, 409, "insufficient_stock")["shortages"][0]["sellable"] == 3
    # What is there may come back, be counted, and leave.
    back = {"return_id": "r", "warehouse": "north", "lines": [RETURNED]}
    assert (await http.post("/v1/returns", json=back)).status_code == 201
    assert (await http.post("/v1/locks/before/deduct", json={"shipment_id": "s"})).status_code == 200
    again = await http.post("/v1/locks", json=LOCK | {"lock_id": "before"})
    assert again.status_code == 200
    await http.put("/v1/warehouses/north", json={"closed": False})
    assert (
        await http.post("/v1/locks", json=LOCK | {"lock_id": "L2", "warehouses": ["north"]})
    ).status_code == 201


async def test_pages_show_nothing_sellable_in_a_closed_warehouse(house: House) -> None:
    """Nothing that checkout would refuse; what is there stays on its shelf."""
    http, page = house.http, "/v1/availability/A"
    opened, counts = await http.get(page), (await http.get("/v1/stock/A")).json()
    assert opened.json()["sellable"] == 13
    await http.put("/v1/warehouses/north", json={"closed": True})
    closed = await http.get(page, headers={"If-None-Match": opened.headers["etag"]})
    assert (closed.status_code, closed.json()) == (
        200,
        opened.json() | {"sellable": 5, "warehouses": {"north": {"sellable": 0}, "south": {"sellable": 5}}},
    )
    assert closed.headers["etag"] != opened.headers["etag"]
    again = {"If-None-Match": closed.headers["etag"]}
    assert (await http.get(page, headers=again)).status_code == 304
    of_many = [
        await http.get("/v1/availability?sku=A"),
        await http.post("/v1/availability", json={"skus": ["A"]}),
    ]
    assert [answer.json()["items"] for answer in of_many] == [[closed.json()]] * 2
    only = await http.get(page, params={"warehouses": "north"})
    told = only.json()
    assert (told["sellable"], told["in_stock"], only.headers["etag"]) == (0, False, closed.headers["etag"])
    assert (await http.get("/v1/stock/A")).json() == counts
    await http.put("/v1/warehouses/north", json={"closed": False})
    reopened = await http.get(page, headers=again)
    assert (reopened.json(), reopened.headers["etag"]) == (opened.json(), opened.headers["etag"])


async def test_ranks_order_the_warehouses(house: House) -> None:
    await house.http.put("/v1/warehouses/south", json={"rank": 1})
    held = await house.http.post("/v1/locks", json=LOCK)
    assert held.json()["lines"][0]["warehouse"] == "south"
    await house.http.put("/v1/warehouses/north", json={"rank": 0})
    held = await house.http.post("/v1/locks", json=LOCK | {"lock_id": "L2"})
    assert held.json()["lines"][0]["warehouse"] == "north"


# Events


async def send(house: House, *events: dict[str, Any]) -> list[dict[str, Any]]:
    whole = [{"occurred_at": AT, "warehouse": "north", "sku": "A"} | event for event in events]
    answer = await house.http.post("/v1/warehouse-events", json={"source": "wms", "events": whole})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["results"])


async def settled(house: House) -> list[Any]:
    """Wait until no event waits for anything but a person, and return those that do."""
    async with asyncio.timeout(30):
        while True:
            waiting = await house.operations.inbox.list(("", ""), 1_000)
            if all(row.status == "quarantined" for row in waiting):
                return list(waiting)
            await asyncio.sleep(0.02)


async def test_typos_in_events_wait_for_a_person(house: House) -> None:
    at = {"type": "received", "quantity": 4}
    told = await send(
        house,
        {"event_id": "w1", **at, "warehouse": "North"},
        {"event_id": "w2", "type": "shipped", "quantity": 2, "sku": "a"},
        {"event_id": "w3", **at, "sku": "'A"},
        {"event_id": "w4", **at, "sku": "new"},
        {"event_id": "w5", **at, "sku": "NEW"},
        {"event_id": "w6", "type": "shipped", "quantity": 1, "sku": "new"},
    )
    assert [(one["status"], one.get("detail")) for one in told] == [
        ("quarantined", "warehouse: North is not known, but north is"),
        ("quarantined", "sku: a is not known, but A is"),
        ("quarantined", "sku: 'A is not known, but A is"),
        ("applied", None),
        ("quarantined", "sku: NEW is not known, but new is"),
        ("applied", "without a lock"),
    ]
    assert (await house.counts("new"))["on_hand"] == 3
    assert await house.differences() == []


async def test_a_file_of_typos(house: House) -> None:
    await house.operations.openings.book([OpeningRow("MUG", "north", 5)])
    content = (CASES / "events-case-typos.ndjson").read_bytes()
    for _ in range(2):
        answer = await house.http.post(
            "/v1/warehouse-events?source=wms",
            content=content,
            headers={"Content-Type": "application/x-ndjson"},
        )
        told = [(one["line"], one["status"], one["detail"]) for one in answer.json()["results"]]
        assert told == [
            (1, "quarantined", "warehouse: North is not known, but north is"),
            (2, "quarantined", "sku: mug is not known, but MUG is"),
        ]
    assert len(await settled(house)) == 2
    # A person may say that it is so: then it is a fact, and both are listed.
    done = await house.operations.inbox.retry("wms", "w1")
    assert done is not None
    assert done.status == "applied"
    await house.caught_up()
    assert (await house.http.get("/v1/warehouses/North")).json()["units"]["on_hand"] == 4
    assert await house.differences() == []


async def test_an_event_whose_code_never_becomes_known_is_a_persons(house: House) -> None:
    assert (await send(house, {"event_id": "s", "type": "shipped", "quantity": 2, "sku": "LATE"}))[0][
        "status"
    ] == "parked"
    servers.execute(house.stores.database_url, "UPDATE inbox SET until = now(), next_at = now()")
    (row,) = await settled(house)
    assert (row.event_id, row.why) == ("s", "sku: LATE is not known")
    done = await house.operations.inbox.retry("wms", "s")
    assert done is not None
    assert done.status == "applied"
    assert (await house.counts("LATE"))["on_hand"] == -2
    assert await house.differences() == []


async def test_any_code_is_a_warehouse_if_the_setting_says_so(stores: Stores) -> None:
    settings = stores.settings.model_copy(update={"new_warehouses": "any"})
    listed = Warehouses(WarehouseRows(stores.engine), takes_any=True)
    async with house_on(replace(stores, settings=settings, warehouses=listed)) as house:
        told = await send(house, {"event_id": "w", "type": "received", "quantity": 4, "warehouse": "moon"})
        assert told[0]["status"] == "applied"
        lock = await house.http.post("/v1/locks", json=LOCK | {"warehouses": ["moon", "nowhere"]})
        assert lock.json()["lines"][0]["warehouse"] == "moon"
        await house.caught_up()
        assert (await house.http.get("/v1/warehouses/moon")).json()["units"]["on_hand"] == 4


async def test_without_postgres_the_last_list_counts(stores: Stores) -> None:
    """And if there was none yet, sales go on."""
    nowhere = WarehouseRows(database.open_engine(NOWHERE))
    never = Warehouses(nowhere, takes_any=False)
    assert await never.unknown_among(["moon"]) == []
    assert not never.is_open("north")  # the short way leaves it to the application
    once = Warehouses(WarehouseRows(stores.engine), takes_any=False)
    assert await once.unknown_among(["north"]) == []
    once._rows = nowhere
    assert await once.unknown_among(["north", "North"]) == [UnknownCode("North", ["north"])]
    assert once.is_open("north")


async def test_an_event_waits_until_its_code_is_known(house: House) -> None:
    told = await send(
        house,
        {"event_id": "s1", "type": "shipped", "quantity": 2, "sku": "LATE"},
        {"event_id": "m1", "type": "received", "quantity": 4, "warehouse": "moon"},
    )
    assert [(one["status"], one["detail"]) for one in told] == [
        ("parked", "sku: LATE is not known"),
        ("parked", "warehouse: moon is not known"),
    ]
    order = {"purchase_order_id": "P", "warehouse": "north", "lines": [LINE | {"sku": "LATE"}]}
    assert (await house.http.post("/v1/purchase-orders", json=order)).status_code == 201
    await house.http.put("/v1/warehouses/moon")
    assert await settled(house) == []
    assert (await house.counts("LATE"))["on_hand"] == -2
    assert (await house.counts("A", "moon"))["on_hand"] == 4
    assert await house.differences() == []


HISTORY: list[dict[str, Any]] = [
    {"type": "received", "quantity": 7, "receipt_id": "r"},
    {"type": "shipped", "quantity": 3},
    {"type": "adjusted", "quantity": -1, "reason": "broken"},
    {"type": "received", "quantity": 5, "receipt_id": "r2", "elsewhere": True},
    {"type": "returned", "quantity": 1, "condition": "damaged", "elsewhere": True},
]


async def test_orders_in_which_codes_become_known_in_the_middle(house: House) -> None:
    """Each order with a SKU of its own, and half of its events in a warehouse that is listed at some moment."""
    rng, number = random.Random(7), 12
    orders = rng.sample(list(itertools.permutations(range(len(HISTORY)))), number)
    histories = [
        [
            {key: value for key, value in HISTORY[i].items() if key != "elsewhere"}
            | {
                "event_id": f"{n}-{i}",
                "sku": f"H{n}",
                "warehouse": f"place-{n}" if "elsewhere" in HISTORY[i] else "north",
                "occurred_at": f"2026-01-05T08:00:{i:02}Z",
            }
            for i in order
        ]
        for n, order in enumerate(orders)
    ]
    listed_after = [rng.randrange(len(HISTORY) + 1) for _ in orders]
    for step in range(len(HISTORY) + 1):
        for n in [n for n, when in enumerate(listed_after) if when == step]:
            await house.http.put(f"/v1/warehouses/place-{n}")
        if step < len(HISTORY):
            await send(house, *(history[step] for history in histories))
    assert await settled(house) == []
    for n in range(number):
        north, place = await house.counts(f"H{n}"), await house.counts(f"H{n}", f"place-{n}")
        assert (north["on_hand"], place["on_hand"], place["damaged"]) == (3, 5, 1), orders[n]
    assert await house.differences() == []


# The command line


@pytest.fixture
async def clerk(
    house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Clerk]:
    async with clerk_of(house, capsys, monkeypatch) as clerk:
        yield clerk


async def test_a_code_that_should_never_have_been_is_merged(clerk: Clerk) -> None:
    house = clerk.house
    http = house.http
    await http.put("/v1/warehouses/nroth")
    rows = (OpeningRow("A", "nroth", 6, 3), OpeningRow("C", "nroth", 2), OpeningRow("D", "nroth", 1))
    await house.operations.openings.book(rows)
    there = {"warehouse": "nroth"}
    lock = {
        "lines": [{"sku": "A", "quantity": 1, **there}, {"sku": "A", "quantity": 2, "warehouse": "north"}]
    }
    ranked = {"lines": [{"sku": "C", "quantity": 1}], "warehouses": ["nroth", "north"]}
    done = [
        await http.post("/v1/locks", json=lock | {"lock_id": "both"}),
        await http.post("/v1/locks", json=ranked | {"lock_id": "ranked"}),
        await http.post(
            "/v1/locks/both/deduct", json={"shipment_id": "s", "lines": [lock["lines"][0] | {"quantity": 1}]}
        ),
        await http.post(
            "/v1/transfers", json={"transfer_id": "out", "from": "nroth", "to": "south", "lines": [LINE]}
        ),
        await http.post(
            "/v1/transfers", json={"transfer_id": "in", "from": "south", "to": "nroth", "lines": [LINE]}
        ),
        await http.post("/v1/transfers/in/ship", json={"shipment_id": "s"}),
        await http.post(
            "/v1/transfers", json={"transfer_id": "own", "from": "nroth", "to": "north", "lines": [LINE]}
        ),
        await http.post("/v1/transfers/own/ship", json={"shipment_id": "s"}),
        await http.post("/v1/purchase-orders", json={"purchase_order_id": "P", "lines": [LINE], **there}),
        await http.post(
            "/v1/returns", json={"return_id": "r", "lines": [RETURNED | {"condition": "damaged"}], **there}
        ),
    ]
    assert {one.status_code for one in done} <= {200, 201}, [one.text for one in done]
    told = await send(house, {"event_id": "d", "type": "shipped", "quantity": 3, "sku": "D", **there})
    assert told[0]["status"] == "applied"  # two more than there were
    merged = await house.operations.merging.merge("nroth", "north", known_seconds=0)
    assert merged == (3, 2, 3, 1, 0)
    nothing = dict.fromkeys(
        ("on_hand", "available", "locked", "damaged", "in_transit", "buffer", "sellable"), 0
    )
    for sku in "ACD":
        assert await house.counts(sku, "nroth") == nothing
    assert await house.counts("A") == {
        "on_hand": 15, "available": 12, "locked": 3, "damaged": 1, "in_transit": 1, "buffer": 3, "sellable": 9,
    }  # fmt: skip
    assert (await house.counts("D"))["available"] == -2
    both = (await http.get("/v1/locks/both")).json()
    assert both["lines"] == [{"sku": "A", "warehouse": "north", "quantity": 3, "deducted": 1}]
    assert (await http.get("/v1/transfers/out")).json()["from"] == "north"
    assert (await http.get("/v1/transfers/in")).json()["to"] == "north"
    assert (await http.get("/v1/purchase-orders/P")).json()["warehouse"] == "north"
    assert await house.differences() == []
    problem(await http.get("/v1/warehouses/nroth"), 404, "unknown_warehouse")
    problem(await http.get("/v1/availability/A?warehouses=nroth"), 422, "unknown_warehouse")
    # What was promised goes on there.
    assert (await http.post("/v1/locks/both/deduct", json={"shipment_id": "s2"})).json()[
        "status"
    ] == "deducted"
    assert (await http.post("/v1/locks/ranked/confirm")).status_code == 200
    arrival = {"receipt_id": "a", "lines": [LINE]}
    assert (await http.post("/v1/transfers/in/receive", json=arrival)).json()["status"] == "received"
    assert (await http.post("/v1/transfers/out/ship", json={"shipment_id": "o"})).json()[
        "status"
    ] == "shipped"
    # Again: nothing is left. And what cannot be.
    assert await house.operations.merging.merge("nroth", "north", known_seconds=0) == (0, 0, 0, 0, 0)
    for arguments in (("moon", "--into", "north"), ("north", "--into", "moon"), ("north", "--into", "north")):
        said = await clerk.types("warehouses", "merge", *arguments)
        assert (said.code, said.err.count("\n")) == (1, 1), said
    said = await clerk.types("warehouses", "list")
    assert "south: 1 SKUs, " in said.out
    assert "nroth" not in said.out
    assert await house.differences() == []


@pytest.mark.tier
async def test_a_warehouse_is_merged_beside_traffic_and_broken_off(clerk: Clerk) -> None:
    """By another process, which reads its list when it is its turn; and the merge is killed twice before it may end."""
    house = clerk.house
    listed = Warehouses(WarehouseRows(house.stores.engine), takes_any=False)
    await house.http.put("/v1/warehouses/nroth")
    skus = [f"T{n}" for n in range(40)]
    await house.operations.openings.book(
        [OpeningRow(sku, where, 500) for sku in skus for where in ("nroth", "north")]
    )
    await listed.refresh()
    async with house_on(replace(house.stores, warehouses=listed), rows=()) as other:
        traffic = asyncio.create_task(_names_in_vain(other, skus))
        try:
            for seconds in (0.05, 0.3):
                await asyncio.sleep(0.2)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(house.operations.merging.merge("nroth", "north"), seconds)
            await house.http.put(
                "/v1/warehouses/nroth"
            )  # so that the other one knows it for as long as it can
            keeping = asyncio.create_task(listed.keep())
            await asyncio.sleep(0.1)
            said = await clerk.types("warehouses", "merge", "nroth", "--into", "north")
        finally:
            done = await traffic
            keeping.cancel()
    assert said.code == 0
    assert said.out.startswith("merged nroth into north: ")
    assert min(done.values()) > 0, done
    for sku in skus:
        places = (await house.http.get(f"/v1/stock/{sku}")).json()["warehouses"]
        assert set(places["nroth"].values()) == {0}, (sku, places)
    assert await house.differences() == []


async def _names_in_vain(house: House, skus: Sequence[str]) -> Counter[str]:
    """Book in a warehouse until its code is refused each time, and return how many of each were booked."""
    done, refused, rng = Counter[str](), 0, random.Random(3)
    for n in itertools.count():
        at = {"sku": rng.choice(skus), "quantity": 1}
        there = {"warehouse": "nroth", "lines": [at]}
        calls: dict[str, dict[str, Any]] = {
            "/v1/locks": {"lock_id": f"T{n}", "lines": [at | {"warehouse": "nroth"}], "ttl_seconds": None},
            "/v1/returns": there | {"return_id": f"T{n}", "lines": [at | {"condition": "sellable"}]},
            "/v1/transfers": {"transfer_id": f"T{n}", "from": "nroth", "to": "south", "lines": [at]},
        }
        for path, body in calls.items():
            status = (await house.http.post(path, json=body)).status_code
            done[path] += status == 201
            refused = refused + 1 if status == 422 else 0
        await house.http.post("/v1/locks", json={"lock_id": f"F{n}", "lines": [at], "ttl_seconds": None})
        if refused > 30:
            return done
    return done


async def test_no_step_takes_stock_from_a_closed_warehouse(house: House) -> None:
    """Whatever the lock asked for when it was made; what it holds there it keeps."""
    http = house.http
    of = {"lines": [LINE], "warehouses": ["north", "south"]}
    for name in ("grows", "reopens", "any", "away"):
        made = await http.post(
            "/v1/locks", json=(of if name != "any" else {"lines": [LINE]}) | {"lock_id": name}
        )
        assert made.json()["lines"][0]["warehouse"] == "north"
    named = {"lock_id": "only", "lines": [LINE | {"warehouse": "north"}]}
    assert (await http.post("/v1/locks", json=named)).status_code == 201
    for name in ("reopens", "any", "only"):
        assert (await http.post(f"/v1/locks/{name}/unlock")).status_code == 200
    await http.put("/v1/warehouses/north", json={"closed": True})

    async def steps(name: str, step: str, **body: Any) -> Any:
        return await http.post(
            f"/v1/locks/{name}/{step}", json=body, headers={"Idempotency-Key": name + step}
        )

    def places(answer: Any) -> list[tuple[str, int]]:
        assert answer.status_code == 200, answer.text
        return [(line["warehouse"], line["quantity"]) for line in answer.json()["lines"]]

    assert places(await steps("grows", "replace", lines=[{"sku": "A", "quantity": 2}])) == [
        ("north", 1),
        ("south", 1),
    ]
    assert places(await steps("away", "replace", lines=[LINE], warehouses=["south"])) == [("south", 1)]
    problem(await steps("grows", "replace", lines=[LINE | {"warehouse": "north"}]), 409, "warehouse_closed")
    for name in ("reopens", "any"):
        assert places(await steps(name, "reopen", ttl_seconds=900)) == [("south", 1)]
        await steps(name, "unlock")
    refused = problem(await steps("only", "reopen", ttl_seconds=900), 409, "insufficient_stock")
    assert refused["shortages"] == [{"sku": "A", "warehouse": "north", "requested": 1, "sellable": 0}]
    assert await house.differences() == []


async def test_an_import_makes_the_first_warehouses_only(clerk: Clerk, tmp_path: Path) -> None:
    house, file = clerk.house, tmp_path / "stock.csv"

    async def imports(text: str, *options: str) -> Said:
        file.write_text(f"sku,warehouse,quantity\n{text}")
        return await clerk.types("import-stock", str(file), *options)

    said = await imports("X,North,1\nX,moon,2\nX,south,3\n")
    assert (said.code, said.out) == (3, "imported 1 rows (1 changed), 2 bad lines\n")
    assert numbered(said.err) == {
        2: "warehouse 'North' is not known; did you mean 'north'? (--new-warehouses makes it one)",
        3: "warehouse 'moon' is not known (--new-warehouses makes it one)",
    }
    await house.http.put("/v1/warehouses/south", json={"closed": True})
    said = await imports("X,moon,2\nX,south,3\n", "--new-warehouses", "--dry-run")
    assert numbered(said.err) == {3: "warehouse 'south' is closed"}
    problem(await house.http.get("/v1/warehouses/moon"), 404, "unknown_warehouse")
    assert (await imports("X,moon,2\n", "--new-warehouses")).code == 0
    assert (await house.http.get("/v1/warehouses/moon")).json()["units"]["on_hand"] in {0, 2}
    # Where nothing but the demo was booked, a file makes those that it names, unless they look like one that is known.
    await house.caught_up()
    servers.execute(house.stores.database_url, "DELETE FROM stock WHERE sku <> 'TEA-100'")
    listed = house.operations.codes.warehouses
    new, unknown = await listed.new_in_import(["hall", "NORTH"], demo_skus=["TEA-100"])
    assert (new, unknown) == (["hall"], [UnknownCode("NORTH", ["north"])])
    new, unknown = await listed.new_in_import(["Hall", "hall", "attic"], demo_skus=["TEA-100"])
    assert (new, unknown) == (["attic"], [UnknownCode("Hall", ["hall"]), UnknownCode("hall", ["Hall"])])
    said = await imports("X,Moon,2\n", "--new-warehouses", "--dry-run")
    assert "warehouse 'Moon' is new, and looks like 'moon'\n" in said.err


async def test_the_short_way_knows_the_list() -> None:
    """A lock that names a warehouse that is not surely open is the application's, which asks again."""
    ranking = Ranking()
    hot, line = build_hot(
        Settings(),
        "redis://127.0.0.1:1",
        Keys(""),
        Metrics(),
        level=lambda: "disk",
        ranking=ranking,
        is_open={"north"}.__contains__,
    )
    checkout = hot._checkout
    line_of = '{"lock_id":"L","lines":[{"sku":"A","quantity":1,"warehouse":"%s"}]}'
    ranked = '{"lock_id":"L","lines":[{"sku":"A","quantity":1}],"warehouses":["%s"]}'
    for text in (line_of, ranked):
        assert checkout._lock_of(_lock.decode(text % "north")).lock_id == "L"
        with pytest.raises(ValueError, match="is not known to be open"):
            checkout._lock_of(_lock.decode(text % "North"))
    ranking.follow(
        [Warehouse("a"), Warehouse("b", rank=2), Warehouse("c", rank=1), Warehouse("d", rank=0, closed=True)]
    )
    assert ranking.arguments == [3, "d", "c", "b", 1, "d"]
    ranking.follow([Warehouse("a")])
    assert ranking.arguments == [0, 0]
    await line.close()
