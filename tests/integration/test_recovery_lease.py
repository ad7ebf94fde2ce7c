"""The recovery lease: kept for as long as a recovery takes, however long that is."""

import time

import pytest

from app.bootstrap import Stores
from app.ledger.recovery_rows import RecoveryRows
from app.recovery import recovery as module
from app.recovery.findings import Finding

SHORT_SECONDS = 0.3


async def test_a_long_recovery_keeps_its_lease(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEASE_SECONDS", SHORT_SECONDS)
    recovery, others = stores.recovery(), RecoveryRows(stores.engine, 0)
    refusals: list[int | None] = []

    async def long(_fence: int, *, force_rebuild: bool) -> Finding:
        assert force_rebuild
        end = time.monotonic() + 4 * SHORT_SECONDS
        while time.monotonic() < end:
            refusals.append(await others.take_lease("another", seconds=SHORT_SECONDS))
        return Finding.DIFFERENT

    monkeypatch.setattr(recovery, "_recover", long)
    assert await recovery.ensure_open(force_rebuild=True) is Finding.DIFFERENT
    assert set(refusals) == {None}
    assert await others.take_lease("another", seconds=SHORT_SECONDS) is not None


async def test_a_lease_that_was_lost_is_not_extended(stores: Stores) -> None:
    rows = RecoveryRows(stores.engine, 0)
    first = await rows.take_lease("one", seconds=0)
    second = await rows.take_lease("another", seconds=60)
    assert first is not None
    assert second == first + 1
    assert await rows.extend_lease(first, seconds=60) is False
    assert await rows.extend_lease(second, seconds=60) is True
