"""The table of a fault run, for people and as JSON."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.faults.runner import Row
from tests.faults.scenarios import TABLE

HEAD = ("fault", "times", "acknowledged", "lost", "of these named", "doubled", "oversold", "not ready, s", "")


def cells(row: Row) -> tuple[str, ...]:
    """One row of the table."""
    if row.skipped:
        return (row.name, "-", "-", "-", "-", "-", "-", "-", f"skipped: {row.skipped}")
    found = row.judgement
    lost = " + ".join(f"{n} at {level}" for level, n in sorted(found.lost.items())) or "0"
    named = f"{found.named}" if found.lost_total else "-"
    verdict = "ok" if not row.why else "MISSED: " + "; ".join(row.why)[:400]
    return (
        row.name,
        str(len(row.strikes)),
        f"{found.acknowledged:,}",
        lost,
        named,
        str(found.doubled),
        str(found.oversold),
        f"{row.unready_seconds:.1f}",
        verdict.replace("|", "/").replace("\n", " "),
    )


def line(row: Row) -> str:
    """What is said while it runs."""
    pages = f"pages {row.pages} ({row.pages_stale} stale, {row.pages_failed} failed)"
    return (
        f"    {' | '.join(cells(row)[1:])} | {pages} | lag {row.lag_seconds:.1f} s | {row.seconds:.0f} s"
        + "".join(f"\n    {note}" for note in row.notes + row.judgement.examples[: 3 if row.why else 0])
    )


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run."""

    rows: list[Row]
    seed: int
    short: bool
    seconds: float

    def table(self) -> str:
        lines = ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
        lines += ["| " + " | ".join(cells(row)) + " |" for row in self.rows]
        return "\n".join(lines)

    def write(self, file: Path) -> None:
        """The table with what it means as Markdown, the figures as JSON beside it."""
        when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        how = "make faults SHORT=1" if self.short else "make faults"
        notes = [f"- **{one.name}**: {one.about}." for one in TABLE if one.about]
        text = [
            "# What faults cost",
            "",
            f"Written by `{how}` on {when} (seed {self.seed}, {self.seconds / 60:.0f} minutes). Real processes under a",
            "steady load; a recorder outside the service keeps every request and reply; afterwards every acknowledged",
            "command must be in the ledger exactly once, the ledger's order replayed through the model must oversell",
            "nothing, and `verify` must find no difference between hot store and ledger.",
            "",
            self.table(),
            "",
            "*Not ready*: the longest time in which a lock was refused or not answered after a strike; for what lasts",
            "(a stopped process, a cut network), after its end. *Named*: lost commands that the service itself lists.",
            "",
            *notes,
        ]
        file.write_text("\n".join(text) + "\n")
        file.with_suffix(".json").write_text(json.dumps(self._figures(), indent=1) + "\n")

    def _figures(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "short": self.short,
            "seconds": round(self.seconds),
            "rows": [
                {
                    "fault": row.name,
                    "times": len(row.strikes),
                    "acknowledged": row.judgement.acknowledged,
                    "unknown": row.judgement.unknown,
                    "lost": dict(row.judgement.lost),
                    "named": row.judgement.named,
                    "doubled": row.judgement.doubled,
                    "oversold": row.judgement.oversold,
                    "contradictions": len(row.judgement.contradictions),
                    "differences": len(row.judgement.differences),
                    "not_ready_seconds": round(row.unready_seconds, 2),
                    "lag_seconds": round(row.lag_seconds, 2),
                    "refused": row.refused,
                    "pages": row.pages,
                    "pages_stale": row.pages_stale,
                    "pages_failed": row.pages_failed,
                    "missed": row.why,
                    "skipped": row.skipped,
                }
                for row in self.rows
            ],
        }
