"""Reconciliations: a snapshot against the ledger as of its time, through the application."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from app.api.app import create_app
from app.bootstrap import Stores
from app.domain.commands import Adjust, Booking, Deduct, Line, Lock, Opening, OpeningRow, Receive
from app.domain.reconciliation import Status
from app.domain.words import Place
from app.ledger import database
from app.ledger.snapshots import Begun
from app.operations.snapshots.spool import Asked, Spool
from tests.integration.api_client import PretendHealth
from tests.integration.reconciling import differences, done, reconciled, send
from tests.integration.warehouse import House, now_ms, problem, text_of


async def test_what_agrees_differs_in_nothing(house: House) -> None:
    told = await reconciled(house, "sku,on_hand,damaged\nA,10,0\nB,0,\n", await now_ms(house))
    assert (told["discrepancies"], told["next"]) == ([], None)
    assert told["totals"]["skus"] == 2


async def test_as_of_its_time_not_of_now(house: House) -> None:
    hot = house.stores.hot
    await hot.execute(Lock("L", (Line("A", 3, "north"),)))
    at = await now_ms(house)
    await hot.execute(Deduct("L", "s"))
    await hot.execute(Receive("r", "north", (Booking("B", Place.SUPPLIER, Place.AVAILABLE, 7),)))
    assert (await reconciled(house, "sku,on_hand\nA,10\n", at))["discrepancies"] == []
    assert (await reconciled(house, "sku,on_hand\nA,7\nB,7\n", await now_ms(house)))["discrepancies"] == []


async def test_the_time_is_inclusive(house: House) -> None:
    at = await now_ms(house)
    for number, occurred_at in enumerate((at - 1, at, at + 1)):
        line = Booking("A", Place.ADJUSTMENT, Place.AVAILABLE, 10**number)
        await house.stores.hot.execute(Adjust(f"a{number}", "north", (line,), occurred_at))
    assert (await reconciled(house, "sku,on_hand\nA,21\n", at))["discrepancies"] == []


async def test_each_kind(house: House) -> None:
    hot = house.stores.hot
    await hot.execute(Receive("r", "north", (
        Booking("C", Place.SUPPLIER, Place.AVAILABLE, 4), Booking("D", Place.SUPPLIER, Place.DAMAGED, 6),
    )))  # fmt: skip
    told = await reconciled(
        house, "sku,on_hand,damaged\nA,8,1\nB,50,0\nNEW,3,2\nD,0,1\n", await now_ms(house)
    )
    assert differences(told) == {
        ("A", "on_hand"): ("less", "unexplained", 10, 8, -2),
        ("A", "damaged"): ("more", "unexplained", 0, 1, 1),
        ("B", "on_hand"): ("more", "unexplained", 0, 50, 50),
        ("C", "on_hand"): ("unknown_to_warehouse", "count_before_move", 4, 0, -4),
        ("D", "damaged"): ("less", "unexplained", 6, 1, -5),
        ("NEW", "on_hand"): ("unknown_to_us", "unexplained", 0, 3, 3),
        ("NEW", "damaged"): ("unknown_to_us", "unexplained", 0, 2, 2),
    }
    totals = told["totals"]
    assert (totals["skus"], totals["skus_differing"], totals["discrepancies"]) == (5, 5, 7)
    assert (totals["units_more"], totals["units_less"]) == (56, 11)
    assert totals["by_kind"] == {"less": 2, "more": 2, "unknown_to_us": 2, "unknown_to_warehouse": 1}


async def test_damaged_units_count_where_somebody_counted_them(house: House) -> None:
    lines = (Booking("A", Place.AVAILABLE, Place.DAMAGED, 2),)
    await house.stores.hot.execute(Adjust("a", "north", lines))
    at = await now_ms(house)
    assert (await reconciled(house, "sku,on_hand\nA,8\n", at))["discrepancies"] == []
    assert (await reconciled(house, "sku,on_hand,damaged\nA,8,\nB,0,0\n", at))["discrepancies"] == []
    told = await reconciled(house, "sku,on_hand,damaged\nA,8,1\n", at)
    assert differences(told) == {("A", "damaged"): ("less", "unexplained", 2, 1, -1)}


async def test_the_three_formats_say_the_same(house: House) -> None:
    at = await now_ms(house)
    csv = await send(house, '\ufeffsku,on_hand,damaged\r\n"A",9,0\r\nB,0,0\r\n', at)
    assert csv.status_code == 202
    ndjson = '{"sku":"A","on_hand":9.0,"damaged":0}\n{"on_hand":0,"sku":"B","damaged":0}\n'
    again = await send(house, ndjson, at, "application/x-ndjson")
    assert again.status_code in {200, 202}
    counts = [{"sku": "A", "on_hand": 9, "damaged": 0}, {"sku": "B", "on_hand": 0, "damaged": 0}]
    body = {"as_of": text_of(at), "counts": counts, "warehouse": "north"}
    json_told = await house.http.post("/v1/reconciliations", json=body)
    assert json_told.status_code in {200, 202}
    for answer in (csv, again, json_told):
        told = await done(house, answer.json()["reconciliation_id"])
        assert differences(told) == {("A", "on_hand"): ("less", "unexplained", 10, 9, -1)}


async def test_the_same_snapshot_again_answers_with_the_first(house: House) -> None:
    at = await now_ms(house)
    first = await send(house, "sku,on_hand\nA,9\n", at)
    told = await done(house, first.json()["reconciliation_id"])
    again = await send(house, "sku,on_hand\r\nA,9\r\n#rows=1\r\n", at)
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == first.json()
    assert await done(house, again.json()["reconciliation_id"]) == told
    assert (await send(house, "sku,on_hand\nA,8\n", at)).status_code == 202


LONG = "sku,on_hand\n" + "".join(f"S{n},1\n" for n in range(300))
BAD: list[tuple[str, str, str, str, str, str]] = [
    # name, body, type, code, field, part of the message
    ("negative", "sku,on_hand\nA,-1\n", "csv", "invalid_request", "line 2", "must not be negative"),
    ("fractional", "sku,on_hand\nA,1.5\n", "csv", "invalid_request", "line 2", "not a whole number"),
    ("huge", "sku,on_hand\nA,1000000001\n", "csv", "invalid_request", "line 2", "above"),
    ("a bad code", "sku,on_hand\nA ,1\n", "csv", "invalid_request", "line 2", "blank"),
    ("no on_hand", "sku,quantity\nA,1\n", "csv", "invalid_request", "line 1", "has no column on_hand"),
    ("too few fields", "sku,on_hand\nA\n", "csv", "invalid_request", "line 2", "ends before its on_hand"),
    ("an open quote", 'sku,on_hand\n"A,1\n', "csv", "invalid_request", "line 2", "does not end"),
    ("empty", "", "csv", "invalid_request", "line 1", "is empty"),
    ("a page", "<html>no session</html>", "csv", "invalid_request", "body", "is an HTML page, not CSV"),
    ("no lines", "sku,on_hand\n", "csv", "invalid_request", "counts", "no lines"),
    ("another warehouse", "sku,on_hand,warehouse\nA,1,south\n", "csv", "wrong_warehouse", "line 2", "'south'"),
    ("cut in a line", "sku,on_hand\nA,1\nB,1", "csv", "snapshot_incomplete", "body", "does not end"),
    ("cut between lines", LONG + "#rows=301\n", "csv", "snapshot_incomplete", "body", "301 lines and has 300"),
    ("lines after the last", "sku,on_hand\nA,1\n#rows=1\nB,1\n", "csv", "invalid_request", "line 4", "after the last"),
    ("negative", '{"sku":"A","on_hand":-1}\n', "ndjson", "invalid_request", "line 1", "negative"),
    ("fractional", '{"sku":"A","on_hand":1.5}\n', "ndjson", "invalid_request", "line 1", "not a whole"),
    ("a text", '{"sku":"A","on_hand":"1"}\n', "ndjson", "invalid_request", "line 1", "not a count"),
    ("unknown member", '{"sku":"A","on_hand":1,"x":1}\n', "ndjson", "invalid_request", "line 1", "not a count"),
    ("member twice", '{"sku":"A","sku":"B","on_hand":1}\n', "ndjson", "invalid_request", "line 1", "twice"),
    ("another warehouse", '{"sku":"A","on_hand":1,"warehouse":"south"}\n', "ndjson", "wrong_warehouse", "line 1", "so"),
    ("cut in a line", '{"sku":"A","on_hand":1}\n{"sku":"B"', "ndjson", "snapshot_incomplete", "body", "line 2"),
    ("cut between lines", '{"sku":"A","on_hand":1}\n{"rows":2}\n', "ndjson", "snapshot_incomplete", "body", "2 lines"),
    ("not JSON", "{'warehouse'}", "json", "invalid_request", "body", "not JSON"),
    ("cut", '{"warehouse":"north","counts":[{"sku":"A","on_h', "json", "snapshot_incomplete", "body", "ends before"),
    ("no counts", '{"warehouse":"north","as_of":"AT"}', "json", "invalid_request", "counts", "required"),
    ("empty", '{"warehouse":"north","as_of":"AT","counts":[]}', "json", "invalid_request", "counts", "no lines"),
    ("fewer than told", '{"warehouse":"north","as_of":"AT","rows":2,"counts":[{"sku":"A","on_hand":1}]}', "json",
     "snapshot_incomplete", "body", "2 lines"),
    ("fractional", '{"warehouse":"north","as_of":"AT","counts":[{"sku":"A","on_hand":1.5}]}', "json",
     "invalid_request", "counts[0]", "not a whole number"),
    ("huge", '{"warehouse":"north","as_of":"AT","counts":[{"sku":"A","on_hand":1e300}]}', "json",
     "invalid_request", "counts[0]", "not a whole number"),
    ("a list", '[{"sku":"A","on_hand":1}]', "json", "invalid_request", "body", "must be an object: {"),
    ("duplicate", '{"warehouse":"north","as_of":"AT","counts":[{"sku":"A","on_hand":1},{"sku":"A","on_hand":1}]}',
     "json", "invalid_request", "counts[1]", "counts[0] already"),
    ("half a pair", '{"warehouse":"north","as_of":"AT","counts":[{"sku":"\\ud800","on_hand":1}]}', "json",
     "invalid_request", "body", "surrogate"),
    ("unknown member", '{"warehouse":"north","as_of":"AT","x":1}', "json", "invalid_request", "x", "Extra"),
    ("nested", '{"warehouse":"north","as_of":"AT","counts":[[1]]}', "json", "invalid_request", "counts[0]", "must"),
    ("unknown warehouse", '{"warehouse":"nowhere","as_of":"AT","counts":[{"sku":"A","on_hand":1}]}', "json",
     "unknown_warehouse", "warehouse", "nowhere"),
]  # fmt: skip
TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson", "json": "application/json"}


async def test_a_snapshot_that_cannot_be_used_is_named_and_nothing_is_kept(house: House) -> None:
    at = await now_ms(house)
    for name, body, kind, code, field, message in BAD:
        query = {} if kind == "json" else {"warehouse": "north", "as_of": text_of(at)}
        answer = await house.http.post(
            "/v1/reconciliations", content=body.replace("AT", text_of(at)), params=query,
            headers={"content-type": TYPES[kind]},
        )  # fmt: skip
        told = problem(answer, 422, code)
        assert told["errors"][0]["field"] == field, (name, kind, told)
        assert message in told["errors"][0]["message"], (name, kind, told)
    assert (await house.http.get("/v1/reconciliations")).json()["items"] == []


async def test_what_cannot_be_read_is_named_and_the_rest_compared(house: House) -> None:
    await house.operations.openings.book([OpeningRow(sku, "north", 3) for sku in ("C", "D", "E")])
    at = await now_ms(house)
    body = "sku,on_hand,price\nA,9,1\nB,-1,1\nC,,1\nD,1,1\nD,2,1\nE,3,1\nE ,3,1\n#rows=7\n"
    answer = await send(house, body, at)
    assert answer.status_code == 202
    assert [(one["field"], one["message"].partition(" (")[0]) for one in answer.json()["skipped"]] == [
        ("line 3", "on_hand '-1' must not be negative"),
        ("line 4", "on_hand '' is empty"),
        ("line 8", "sku 'E ' must not begin or end with a blank"),
        ("line 6", "sku 'D' was given in line 5 already: none of them is compared"),
    ]
    assert answer.json()["notes"] == ["columns not used: 'price'"]
    told = await done(house, answer.json()["reconciliation_id"])
    assert differences(told) == {("A", "on_hand"): ("less", "unexplained", 10, 9, -1)}
    totals = told["totals"]
    assert [totals[name] for name in ("skus", "skus_skipped", "lines_bad", "partial")] == [2, 3, 3, False]
    page = await house.http.get(f"/v1/reconciliations/{told['reconciliation_id']}/report.html")
    assert "3 SKUs not compared, 3 lines not read" in page.text
    assert not told["whole"]  # what the line without a SKU is about would be taken for missing
    summed = await done(house, (await send(house, body, at, sum="true")).json()["reconciliation_id"])
    assert differences(summed) == differences(told)
    assert [summed["totals"][name] for name in ("skus", "skus_skipped")] == [3, 2]


async def test_a_snapshot_of_some_skus(house: House) -> None:
    at = await now_ms(house)
    answer = await send(house, '{"sku":"B","on_hand":1}\n', at, "application/x-ndjson", partial="true")
    told = await done(house, answer.json()["reconciliation_id"])
    assert differences(told) == {("B", "on_hand"): ("more", "unexplained", 0, 1, 1)}
    totals = told["totals"]
    assert [totals[name] for name in ("skus", "partial", "differing_share", "alarm")] == [1, True, 1.0, False]
    body = {"warehouse": "north", "as_of": text_of(at), "counts": [{"sku": "A", "on_hand": 10}]}
    answer = await house.http.post("/v1/reconciliations", json=body, params={"partial": "true"})
    assert (await done(house, answer.json()["reconciliation_id"]))["discrepancies"] == []
    whole = await house.http.post("/v1/reconciliations", json=body)
    assert whole.json() != answer.json()  # the same lines say something else
    # Nothing was compared as a whole: the age of the last comparison is not renewed.
    assert await house.operations.reconciliations.freshness() == []
    await done(house, whole.json()["reconciliation_id"])
    assert len(await house.operations.reconciliations.freshness()) == 1


async def test_times_that_cannot_be_compared(house: House) -> None:
    problem(await send(house, "sku,on_hand\nA,1\n", text_of(2**42)), 422, "invalid_request")
    problem(await send(house, "sku,on_hand\nA,1\n", "2001-01-01T00:00:00Z"), 422, "snapshot_too_old")
    problem(await send(house, "sku,on_hand\nA,1\n", 0, warehouse="nowhere"), 422, "unknown_warehouse")
    problem(await house.http.post("/v1/reconciliations", content="x", headers={"content-type": "text/csv"}), 422,
            "invalid_request")  # fmt: skip
    answer = await send(house, "sku,on_hand\nA,1\n", await now_ms(house), "text/plain")
    assert answer.status_code in {415, 422}
    missing = await house.http.get("/v1/reconciliations/R1-none")
    problem(missing, 404, "unknown_reconciliation")


async def test_pages_of_differences(house: House) -> None:
    told = await reconciled(house, LONG, await now_ms(house))
    assert len(told["discrepancies"]) == 301  # 300 that nobody knows, and A
    seen, after, path = [], "", f"/v1/reconciliations/{told['reconciliation_id']}"
    while after is not None:
        query = {"limit": 120} | ({"after": after} if after else {})
        page = (await house.http.get(path, params=query)).json()
        seen += page["discrepancies"]
        after = page["next"]
    assert seen == told["discrepancies"]
    assert json.dumps(seen)


# Bodies that do not come to their end


def app_of(house: House) -> Any:
    return create_app(house.operations, house.stores.settings, PretendHealth())


async def test_a_connection_that_ends_in_the_middle_leaves_nothing(house: House) -> None:
    """What came until then reads like a smaller snapshot, to its last line."""
    at, answered = text_of(await now_ms(house)), list[Any]()
    messages = iter((
        {"type": "http.request", "body": b"sku,on_hand\nA,9\n", "more_body": True},
        {"type": "http.disconnect"},
    ))  # fmt: skip
    scope = {
        "type": "http", "method": "POST", "path": "/v1/reconciliations", "raw_path": b"/v1/reconciliations",
        "query_string": f"warehouse=north&as_of={at}".encode(), "http_version": "1.1", "scheme": "http",
        "headers": [(b"content-type", b"text/csv"), (b"content-length", b"4000")],
    }  # fmt: skip

    async def receive() -> Any:
        return next(messages)

    async def answer(message: Any) -> None:
        answered.append(message)

    await app_of(house)(scope, receive, answer)
    assert answered == []
    assert (await house.http.get("/v1/reconciliations")).json()["items"] == []


async def test_too_large_and_too_many(house: House) -> None:
    transport = httpx.ASGITransport(app_of(house))
    at, ended = await now_ms(house), asyncio.Event()
    query = {"warehouse": "north", "as_of": text_of(at)}
    headers = {"content-type": "text/csv"}

    async def slow(on_hand: int) -> AsyncIterator[bytes]:
        yield b"sku,on_hand\n"
        await ended.wait()
        yield f"A,{on_hand}\n".encode()

    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:

        async def post(content: Any, **more: str) -> httpx.Response:
            return await http.post(
                "/v1/reconciliations", params=query, content=content, headers=headers | more
            )

        slow_ones = [asyncio.create_task(post(slow(number))) for number in range(2)]
        async with asyncio.timeout(30):
            while (await post(b"")).status_code != 503:
                await asyncio.sleep(0.01)
        refused = await post(b"sku,on_hand\nA,9\n")
        problem(refused, 503, "busy")
        assert refused.headers["retry-after"]
        ended.set()
        assert [(await one).status_code for one in slow_ones] == [202, 202]
        problem(await post(b"x", **{"content-length": str(2**28 + 1)}), 413, "payload_too_large")


async def taken_in(stores: Stores, on_hand: int, at: int) -> Begun:
    with Spool() as spool:
        spool.add(2, "A", on_hand, None)
        spool.finish(Asked("north", at, None))
        return await stores.operations().reconciliations.begin(Asked("north", at, None), spool)


async def test_it_waits_until_the_ledger_has_all_up_to_the_request(stores: Stores) -> None:
    """No worker runs: nothing is compared before the ledger has what the hot store had when it was asked."""
    (persist,) = [duty for duty in stores.duties() if duty.name == "persist"]
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    while await persist.run_once():
        pass
    await stores.hot.execute(Opening([OpeningRow("A", "north", 12)]))
    begun = await taken_in(stores, 12, 2**41)
    assert await stores.reconcile().run_once() is None
    while await persist.run_once():
        pass
    assert await stores.reconcile().run_once() == begun.reconciliation_id
    found = await stores.operations().reconciliations.find(begun.reconciliation_id)
    assert found is not None
    assert (found.status, found.totals["discrepancies"]) == (Status.DONE, 0)
    assert await stores.reconcile().run_once() is None


async def test_a_snapshot_that_did_not_survive_fails_and_may_come_again(stores: Stores) -> None:
    """Its table is unlogged: a crash of Postgres empties it."""
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    (persist,) = [duty for duty in stores.duties() if duty.name == "persist"]
    while await persist.run_once():
        pass
    begun = await taken_in(stores, 9, 2**41)
    assert not (await taken_in(stores, 9, 2**41)).new
    async with database.driver_transaction(stores.engine) as pg:
        (table,) = await pg.fetchrow("SELECT 'snapshot_line_' || number FROM reconciliation")
        await pg.execute(f"TRUNCATE {table}")
    assert await stores.reconcile().run_once() == begun.reconciliation_id
    found = await stores.operations().reconciliations.find(begun.reconciliation_id)
    assert found is not None
    assert (found.status, found.failure) == (
        Status.FAILED, "the snapshot was lost when Postgres crashed: send it again",
    )  # fmt: skip
    async with database.driver_transaction(stores.engine) as pg:
        assert await pg.fetchval("SELECT to_regclass($1)", table) is None
    again = await taken_in(stores, 9, 2**41)
    assert again.new
    assert again.reconciliation_id != begun.reconciliation_id


async def test_two_at_once_are_one(stores: Stores) -> None:
    await stores.hot.execute(Opening([OpeningRow("A", "north", 10)]))
    begun = await asyncio.gather(*(taken_in(stores, 9, 2**41) for _ in range(4)))
    assert len({one.reconciliation_id for one in begun}) == 1
    assert sum(one.new for one in begun) == 1
