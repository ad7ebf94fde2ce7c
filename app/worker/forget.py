"""Forgetting: ids that are older than the horizon, and persisted, leave the hot store by name.

Records carry no expiry of their own: a clock that jumps would wipe the idempotency.
"""

from app.hotstore.store import HotStore
from app.ledger.horizon import Forgettable, Horizon
from app.worker.duty import Duty

PAUSE_SECONDS = 5.0


def duty(store: HotStore, horizon: Horizon) -> Duty:
    """Forget in batches, at once while there is more."""

    async def run_once() -> bool:
        batch: Forgettable = await horizon.next_batch()
        await store.forgetting(batch.until_ms)  # first: whoever is told of an old event must know whom to ask
        for lock_id, ops in batch.locks.items():
            await store.forget(lock_id, ops)
        for transfer_id, ops in batch.transfers.items():
            await store.forget_transfer(transfer_id, ops)
        if batch.ops:
            await store.forget("", batch.ops)
        if batch.documents:
            await store.forget_documents(batch.documents)
        await horizon.advance(batch)
        return batch.full

    return Duty("forget", run_once, PAUSE_SECONDS)
