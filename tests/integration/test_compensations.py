"""What is done about differences: proposed, approved, applied within limits, undone; as of the time of the count."""

from typing import Any

import pytest
from sqlalchemy import text

from app.bootstrap import Stores
from app.domain.commands import Adjust, Booking, Deduct, Line, Lock, Receive
from app.domain.reconciliation import Action, Cause, Rule, Treatment, read_policy
from app.domain.words import Place
from app.ledger import database
from app.ledger.reconciliations import Chosen
from app.settings import Settings
from tests.integration.reconciling import reconciled, send
from tests.integration.warehouse import House, house_on, now_ms, problem, shelf, text_of

POLICY = "unexplained=apply<=3,unexplained=propose<=100,unexplained=report"


@pytest.fixture
def test_settings() -> Settings:
    """Nothing within the window explains anything, so that all is unexplained; many may differ."""
    return Settings(
        trim_margin_seconds=0, reconcile_window_seconds=0, reconcile_differing_share_max=1,
        reconcile_policy=POLICY, reconcile_apply_units_max=5,
    )  # fmt: skip


async def step(house: House, told: dict[str, Any], name: str, **chosen: Any) -> list[tuple[str, str, str]]:
    answer = await house.http.post(f"/v1/reconciliations/{told['reconciliation_id']}/{name}", json=chosen)
    assert answer.status_code == 200, answer.text
    return [(one["sku"], one["state"], one["treatment"]) for one in answer.json()["results"]]


async def treatments(house: House, told: dict[str, Any]) -> dict[str, int]:
    report = await house.http.get(f"/v1/reconciliations/{told['reconciliation_id']}/report")
    return dict(report.json()["treatments"])


async def test_proposed_approved_undone(house: House) -> None:
    await house.stores.hot.execute(Lock("L", (Line("A", 2, "north"),)))
    at = await now_ms(house)
    await house.stores.hot.execute(Deduct("L", "s"))
    told = await reconciled(house, "sku,on_hand,damaged\nA,4,5\nNEW,40,0\n", at)
    assert await treatments(house, told) == {"proposed": 3}
    assert await shelf(house) == (8, 0)
    assert await step(house, told, "approve", skus=["A"]) == [
        ("A", "damaged", "applied"),
        ("A", "on_hand", "applied"),
    ]
    assert await shelf(house) == (2, 5)  # what shipped since stands
    assert await step(house, told, "approve", skus=["A"]) == []
    assert await step(house, told, "approve", cause="unexplained") == [("NEW", "on_hand", "applied")]
    assert await shelf(house, "NEW") == (40, 0)
    again = await reconciled(house, "sku,on_hand,damaged\nA,4,5\nNEW,40,\n", at)
    assert again["discrepancies"] == []
    assert await step(house, told, "undo", skus=["A"]) == [
        ("A", "damaged", "undone"),
        ("A", "on_hand", "undone"),
    ]
    assert await shelf(house) == (8, 0)
    assert await step(house, told, "undo", skus=["A"]) == []
    assert await step(house, told, "approve", skus=["A"]) == []  # undone for good
    assert await house.differences() == []


async def test_the_adjustment_says_why_and_when(house: House) -> None:
    at = await now_ms(house)
    told = await reconciled(house, "sku,on_hand\nA,50\n", at)
    await step(house, told, "approve")
    await house.caught_up()
    async with database.snapshot(house.stores.engine) as connection:
        row = (
            await connection.execute(
                text(
                    "SELECT kind, document_kind, document_id, move.reason, quantity, "
                    "(extract(epoch FROM move.occurred_at) * 1000)::bigint AS at "
                    "FROM event JOIN move USING (shard, epoch, n) WHERE document_kind = 'reconciliation'"
                )
            )
        ).one()
    called = told["reconciliation_id"]
    assert row == ("adjust", "reconciliation", called, f"reconciliation {called}: unexplained", 40, at)


async def test_a_policy_by_cause_and_size(house: House) -> None:
    for sku in ("C", "D"):
        await house.stores.hot.execute(
            Receive(sku, "north", (Booking(sku, Place.SUPPLIER, Place.AVAILABLE, 9),))
        )
    lines = "sku,on_hand\nA,8\nB,3\nC,109\nD,110\n#rows=4\n"  # -2, +3, +100, +101
    told = await reconciled(house, lines, await now_ms(house))
    await applied(house, told, 2)
    assert (await shelf(house), await shelf(house, "B")) == ((8, 0), (3, 0))
    assert await treatments(house, told) == {"applied": 2, "proposed": 1, "reported": 1}
    assert await step(house, told, "approve", skus=["D"]) == [("D", "on_hand", "applied")]
    assert sorted(await step(house, told, "undo", skus=["A", "B"])) == [
        ("A", "on_hand", "undone"),
        ("B", "on_hand", "undone"),
    ]
    assert await house.differences() == []


async def applied(house: House, told: dict[str, Any], count: int) -> None:
    while (await treatments(house, told)).get("applied", 0) < count:
        await house.caught_up()


async def test_nothing_is_applied_from_a_snapshot_that_may_not_be_whole(house: House) -> None:
    told = await reconciled(house, "sku,on_hand\nA,8\n", await now_ms(house))
    assert (told["whole"], await treatments(house, told)) == (False, {"proposed": 1})


async def test_nothing_is_applied_beyond_the_limit(house: House) -> None:
    told = await reconciled(
        house, "sku,on_hand\nA,7\nB,3\n#rows=2\n", await now_ms(house)
    )  # 6 units; 5 may be
    assert await treatments(house, told) == {"proposed": 2}


async def test_nothing_is_applied_when_far_too_many_differ(stores: Stores) -> None:
    settings = stores.settings.model_copy(update={"reconcile_differing_share_max": 0.4})
    object.__setattr__(stores, "settings", settings)
    async with house_on(stores) as house:
        await house.caught_up()
        told = await reconciled(house, "sku,on_hand\nA,9\nB,0\n#rows=2\n", await now_ms(house))
        assert told["totals"]["alarm"]
        assert await treatments(house, told) == {"proposed": 1}


async def test_less_than_is_promised_opens_a_shortage(house: House) -> None:
    await house.stores.hot.execute(Lock("L", (Line("A", 8, "north"),)))
    told = await reconciled(house, "sku,on_hand\nA,5\n", await now_ms(house))
    await step(house, told, "approve")
    await house.caught_up()
    (case,) = (await house.http.get("/v1/shortages")).json()["items"]
    assert (case["sku"], case["units"]) == ("A", 3)
    await step(house, told, "undo")
    await house.caught_up()
    assert (await house.http.get("/v1/shortages")).json()["items"] == []


async def test_what_came_late_is_not_booked_twice(house: House) -> None:
    at = await now_ms(house)
    told = await reconciled(house, "sku,on_hand\nA,14\nB,20\n", at)
    for sku, units in (("A", 4), ("B", 6)):
        line = Booking(sku, Place.SUPPLIER, Place.AVAILABLE, units)
        await house.stores.hot.execute(Receive(f"late {sku}", "north", (line,), at - 1))
    assert await step(house, told, "approve") == [("A", "on_hand", "resolved"), ("B", "on_hand", "outdated")]
    assert (await shelf(house), await shelf(house, "B")) == ((14, 0), (6, 0))


async def test_what_cannot_be_booked_is_refused(house: House) -> None:
    there = (Booking("A", Place.ADJUSTMENT, Place.DAMAGED, 5),)
    await house.stores.hot.execute(Adjust("a", "north", there))
    at = await now_ms(house)
    told = await reconciled(house, "sku,on_hand,damaged\nA,10,0\n", at)
    gone = (Booking("A", Place.DAMAGED, Place.ADJUSTMENT, 2),)
    await house.stores.hot.execute(Adjust("b", "north", gone))
    assert await step(house, told, "approve") == [("A", "damaged", "refused")]
    assert await shelf(house) == (10, 3)


async def test_killed_between_booking_and_noting_it(house: House) -> None:
    """The worker goes on, even beyond the hot store's horizon, and books nothing twice."""
    told = await reconciled(house, "sku,on_hand\nA,50\nB,60\n", await now_ms(house))
    called = told["reconciliation_id"]
    await step(house, told, "approve", skus=["A"])
    await house.caught_up()
    await house.stores.hot.forget("", [f"reconciliation:{called}/on_hand/A"])
    rows = house.operations.compensations.rows
    async with database.driver_transaction(house.stores.engine) as pg:
        await pg.execute("UPDATE discrepancy SET treatment = 'proposed'")
    chosen = await rows.choose(
        called, ((Treatment.PROPOSED,), Treatment.APPROVED), Chosen(), who="killed", items_max=10
    )
    assert chosen == 2
    await applied(house, told, 2)
    assert (await shelf(house), await shelf(house, "B")) == ((50, 0), (60, 0))
    assert await house.differences() == []


async def test_bad_requests(house: House) -> None:
    told = await reconciled(house, "sku,on_hand\nA,50\n", await now_ms(house))
    path = f"/v1/reconciliations/{told['reconciliation_id']}"
    problem(await house.http.post(f"{path}/approve", json={"cause": "bad luck"}), 422, "invalid_request")
    problem(await house.http.post(f"{path}/approve", json={"all": True}), 422, "invalid_request")
    problem(await house.http.post("/v1/reconciliations/R0/undo", json={}), 404, "unknown_reconciliation")


async def test_a_reconciliation_that_still_runs_has_nothing_to_approve(house: House) -> None:
    answer = await send(house, "sku,on_hand\nA,50\n", text_of(await now_ms(house)))
    treated = await step(house, answer.json(), "approve")
    assert treated in ([], [("A", "on_hand", "applied")])  # the worker may have been quicker


@pytest.mark.parametrize(
    ("text_of_it", "rules"),
    [
        ("", ()),
        ("parked=report", (Rule(Cause.PARKED, Action.REPORT),)),
        (
            " unexplained=apply<=3, unexplained=report ",
            (Rule(Cause.UNEXPLAINED, Action.APPLY, 3), Rule(Cause.UNEXPLAINED, Action.REPORT)),
        ),
    ],
)
def test_policies(text_of_it: str, rules: tuple[Rule, ...]) -> None:
    assert read_policy(text_of_it) == rules


@pytest.mark.parametrize(
    "bad", ["parked", "luck=report", "parked=sell", "parked=apply<=", "parked=apply<=-1", "=,"]
)
def test_policies_that_cannot_be_read(bad: str) -> None:
    with pytest.raises(ValueError, match="must"):
        read_policy(bad)
