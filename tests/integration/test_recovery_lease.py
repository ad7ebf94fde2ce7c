"""The recovery lease: kept for as long as a recovery takes, however long that is."""

import asyncio
import sys
import time

import pytest

from app.bootstrap import Stores
from app.ledger.recovery_rows import RecoveryRows
from app.recovery import holder
from app.recovery import recovery as module
from app.recovery.findings import Finding
from tests import servers

SHORT_SECONDS = 1.5


async def test_a_long_recovery_keeps_its_lease(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEASE_SECONDS", SHORT_SECONDS)
    recovery, others = stores.recovery(), RecoveryRows(stores.engine, 0)
    refusals: list[int | None] = []

    async def long(_fence: int, *, force_rebuild: bool) -> Finding:
        assert force_rebuild
        end = time.monotonic() + 4 * SHORT_SECONDS
        while time.monotonic() < end:
            refusals.append(await others.take_lease("another", seconds=SHORT_SECONDS))
            await asyncio.sleep(0.02)  # on a busy machine the extension has to get its turn
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


HOLDING = """
import sys
from app.recovery import holder
print(holder.name_of_this(), flush=True)
sys.stdin.read()
"""


async def test_the_lease_of_a_process_that_was_killed_is_not_waited_for(stores: Stores) -> None:
    """Its successor takes it at once; while it lives, nobody does, and of one elsewhere nobody can say."""
    rows = RecoveryRows(stores.engine, 0)
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDING, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert killed.stdout is not None
        name = (await killed.stdout.readline()).decode().strip()
        assert await rows.take_lease(name, seconds=3_600) is not None
        await stores.client.function_flush()
        assert await stores.recovery().ensure_open() is None
        assert not holder.is_dead(holder.name_of_this())
    finally:
        killed.kill()
    if sys.platform == "linux":
        servers.until(lambda: holder.is_dead(name))  # also while nobody has buried it
        assert await stores.recovery().ensure_open() is Finding.SAME
    await killed.communicate()
    machine, _, process = name.partition(" ")
    assert not holder.is_dead(f"another-{machine} {process}")
    assert await rows.take_lease(f"another-{machine} {process}", seconds=3_600) is not None
    await stores.client.function_flush()
    assert await stores.recovery().ensure_open() is None
