"""One rule of remembering: what a rebuild restores is what eviction had left, so every repeat answers as before."""

import pytest

from app.bootstrap import Stores
from app.domain.commands import Booking, Deduct, Exchange, Fact, Line, Lock, Receive, Unlock
from app.domain.words import Place
from app.ledger.horizon import Horizon
from app.recovery.findings import Finding
from app.worker import forget
from tests.integration.test_recovery_findings import memory_of, more_traffic
from tests.integration.working import differences, drain, some_traffic

BACK = (Booking("A", Place.CUSTOMER, Place.AVAILABLE, 1),)


async def traffic(stores: Stores) -> None:
    """Orders that last long and others that do not, and documents that several report."""
    hot = stores.hot
    await hot.execute(Lock("long", (Line("A", 3, "north"),), ttl_ms=None))
    await hot.execute(Deduct("long", "p1", (Line("A", 1, "north"),)))
    await some_traffic(stores)
    for number, type_ in enumerate(("received", "returned", "adjusted", "shipped")):
        document = {"received": "P", "shipped": "long"}.get(type_, "")
        told = "p1" if type_ == "shipped" else "d1"
        for source in ("wms", "erp"):
            event = Fact(
                source,
                f"e{number}",
                type_,
                1,
                "north",
                "A",
                1,
                document_id=document,
                told_id=told,
                line_id="1",
            )
            await hot.execute(event)
    await hot.execute(Receive("d1", "north", (Booking("A", Place.SUPPLIER, Place.AVAILABLE, 1),), None, "P"))
    await more_traffic(stores)
    await hot.execute(Exchange("x", "north", BACK, Lock("swapped", (Line("A", 1),)), None, "long"))
    await hot.execute(Unlock("long"))


@pytest.mark.parametrize("entries_kept", [0, 3, 12, 24, 1_000])
async def test_a_rebuild_restores_what_was_remembered(stores: Stores, entries_kept: int) -> None:
    await traffic(stores)
    await drain(stores)
    horizon = Horizon(stores.engine, 0, seconds=86_400, entries_max=entries_kept)
    duty = forget.duty(stores.hot, horizon)
    while await duty.run_once():
        pass
    before = await memory_of(stores)
    assert await stores.recovery().ensure_open(force_rebuild=True) is Finding.SAME
    assert await memory_of(stores) == before
    assert await differences(stores) == []
