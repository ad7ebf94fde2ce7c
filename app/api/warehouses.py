"""How warehouses stand, for the metrics: asked of the ledger now and then, and told even while it is away."""

import asyncio
import time
from collections.abc import Sequence

from app.domain.reconciliation import Freshness, standings
from app.errors import UnavailableError
from app.operations.reconciliations import Reconciliations
from app.settings import Settings
from app.telemetry import Metrics

ASK_EVERY_SECONDS = 10.0
ASK_SECONDS_MAX = 2.0


class WarehouseWatch:
    """Remembers the last answer: an age grows while nobody can say more."""

    def __init__(self) -> None:
        self._known: Sequence[Freshness] = ()
        self._ask_at = 0.0

    async def tell(self, reconciliations: Reconciliations, settings: Settings, metrics: Metrics) -> None:
        """Bring the figures up to date."""
        if time.monotonic() >= self._ask_at:
            self._ask_at = time.monotonic() + ASK_EVERY_SECONDS
            try:
                async with asyncio.timeout(ASK_SECONDS_MAX):
                    self._known = await reconciliations.freshness()
            except (UnavailableError, TimeoutError):
                pass  # the last answer stands
        now_ms = time.time() * 1000
        for one in standings(
            self._known, settings.reconciled, now_ms, float(settings.reconcile_age_seconds_max)
        ):
            figures = {"age_seconds": one.age_seconds, "alarm": float(one.alarm)}
            sums = {
                name: one.totals[name]
                for name in ("skus_differing", "units_more", "units_less")
                if one.totals
            }
            metrics.tell_reconciliation(one.warehouse, figures | sums)
