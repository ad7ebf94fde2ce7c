"""The run of a reconciliation: compare a snapshot with the ledger as of its time, find causes, decide what is done."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import structlog

from app.errors import UnavailableError
from app.ledger.snapshots import CAUSES, Comparison, Policy, Snapshots

_log = structlog.get_logger()

STEPS = len(CAUSES) + 4
"""Steps of a run that progress is told in."""

Progress = Callable[[str, int], None]


class Reconcile:
    """Runs reconciliations whose time has come. `progress` is told the step and how many were done."""

    def __init__(
        self,
        snapshots: Snapshots,
        policy: Policy,
        *,
        progress: Progress = lambda _what, _count: None,
    ) -> None:
        self._snapshots = snapshots
        self._policy = policy
        self._progress = progress

    async def run_once(self, reconciliation_id: str | None = None) -> str | None:
        """Run the next one, or this one, and return its id; None if its time has not come, or another runs it.

        Raises `UnavailableError` while Postgres is away; it is run again then. Any other error fails it.
        """
        comparison = None
        try:
            async with self._snapshots.claimed(reconciliation_id) as comparison:
                if comparison is None:
                    return None
                is_there = await comparison.is_there()
                if is_there:
                    await self._compare(comparison)
        except UnavailableError:
            raise
        except Exception:
            if comparison is not None:
                await self._snapshots.fail(
                    comparison.claim.number, "it could not be compared; the log says why"
                )
            raise
        if not is_there:
            why = "the snapshot was lost when Postgres crashed: send it again"
            await self._snapshots.fail(comparison.claim.number, why)
        return comparison.claim.reconciliation_id

    async def _compare(self, comparison: Comparison) -> None:
        claim, steps = comparison.claim, 0

        def step(what: str) -> None:
            nonlocal steps
            self._progress(what.replace("_", " "), steps)
            steps += 1

        step("compare")
        await comparison.compare()
        await comparison.explain(self._policy.window, step)
        step("totals")
        totals = totals_of(claim.lines, *await comparison.figures())
        differs_in_most = totals["differing_share"] > self._policy.differing_share_max
        # Of a few SKUs that somebody looks at, most may well differ.
        totals["alarm"] = differs_in_most and not comparison.is_partial
        # Half a snapshot, or one of another warehouse, differs in most: nothing of it is believed unasked.
        await comparison.treat(self._policy, by_itself=claim.whole and not differs_in_most)
        await comparison.finish(totals)
        step("done")
        note = _log.warning if totals["alarm"] else _log.info
        note(
            "reconciliation.done",
            reconciliation=claim.reconciliation_id,
            warehouse=claim.warehouse,
            skus=totals["skus"],
            differing=totals["skus_differing"],
        )


def totals_of(lines: int, skus: Any, groups: list[Any]) -> dict[str, Any]:
    """Return a reconciliation's totals, in SKUs, differences and units."""
    by_cause: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    by_kind: defaultdict[str, int] = defaultdict(int)
    for group in groups:
        figures = (group["discrepancies"], group["units_more"], group["units_less"])
        by_cause[group["cause"]] = [a + b for a, b in zip(by_cause[group["cause"]], figures, strict=True)]
        by_kind[group["kind"]] += group["discrepancies"]
    sums = [sum(column) for column in zip(*by_cause.values(), strict=True)] or [0, 0, 0]
    compared = skus["known"] + skus["unknown"]
    return {
        "lines": lines,
        "skus": compared,
        "skus_differing": skus["differing"],
        "differing_share": round(skus["differing"] / compared, 6) if compared else 0.0,
        "discrepancies": sums[0],
        "units_more": sums[1],
        "units_less": sums[2],
        "by_cause": {
            cause: {"discrepancies": count, "units_more": more, "units_less": less}
            for cause, (count, more, less) in sorted(by_cause.items())
        },
        "by_kind": dict(sorted(by_kind.items())),
    }
