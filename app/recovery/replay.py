"""Replay: the hot store missed events that the ledger has, so they are applied to it once more, in order."""

from app.hotstore.gate import CHUNK, Claims, Gate
from app.ledger.recovery_rows import RecoveryRows
from app.ledger.snapshot_rows import LedgerTip
from app.recovery.rebuild import Progress, chunks
from app.recovery.records import inbox_records, step_of, sums_records
from app.recovery.waiting import Waiting

STEPS_CHUNK = 200
REPLAY_EVENTS_MAX = 200_000
"""A memory that missed more than this is quicker rebuilt."""


async def replay(
    gate: Gate, rows: RecoveryRows, claims: Claims, *, fence: int, progress: Progress
) -> LedgerTip | None:
    """Apply what the ledger has beyond the hot store's last event; return where the ledger was.

    None if that is too much: nothing was changed then. Each step continues the one before it or is refused.
    """
    assert claims.last is not None  # noqa: S101 - a memory without a last event is not behind
    at, count = claims.last, 0
    async with rows.snapshot() as snapshot:
        ledger = await snapshot.tip()
        if await snapshot.count_after(at, events_max=REPLAY_EVENTS_MAX + 1) > REPLAY_EVENTS_MAX:
            return None
        skus = (await snapshot.touched_after(at)).skus
        while events := await snapshot.events_after(at, ledger.position, STEPS_CHUNK):
            steps = [step_of(event) for event in events]
            await gate.replay(steps, fence=fence)
            at, count = steps[-1].position, count + len(steps)
            progress("events", count)
        families = await snapshot.documents_after(claims.last)
        for records in (
            inbox_records(snapshot, sorted(skus)),
            sums_records(snapshot.named_documents(families)),
        ):
            async for chunk in chunks(records, CHUNK):
                await gate.mend(chunk, fence=fence)
        waiting = Waiting()
        await waiting.read(snapshot)
        await waiting.set(gate, fence=fence)
    return ledger
