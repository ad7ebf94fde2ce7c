"""What was measured, held against what it must show."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.client import Measured


@dataclass
class Figure:
    """One row: a value for each round; latencies in ms beside it where the load client timed them."""

    key: str
    name: str
    unit: str
    values: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    cpu_us: dict[str, list[float]] = field(default_factory=dict)
    """CPU time a request, by process, in µs."""

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return median(self.values)


@dataclass(frozen=True)
class Point:
    """A point of a curve."""

    x: float
    rate: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Target:
    """What must be reached: `key`'s value, or its ratio to `against`'s, at least or at most `bound`."""

    text: str
    key: str
    bound: float
    against: str = ""
    at_most: bool = False
    unit: str = "x"


@dataclass(frozen=True)
class Verdict:
    """A target beside what was reached; `per_round` are the ratios (or values) of the single rounds."""

    target: Target
    per_round: list[float]

    @property
    def reached(self) -> float | None:
        """The median of the rounds; None if it was not measured."""
        return median(self.per_round) if self.per_round else None

    @property
    def word(self) -> str:
        """`OK`, `below`, `above`, or `not measured`."""
        if self.reached is None:
            return "not measured"
        if self.target.at_most:
            return "OK" if self.reached <= self.target.bound else "above"
        return "OK" if self.reached >= self.target.bound else "below"


class Results:
    """All figures and curves of a run, in the order they came."""

    def __init__(self) -> None:
        self.figures: dict[str, Figure] = {}
        self.curves: dict[str, dict[str, list[Point]]] = {}

    def add(self, key: str, name: str, value: float, *, unit: str = "/s", note: str = "") -> Figure:
        """Note one round's value."""
        figure = self.figures.setdefault(key, Figure(key, name, unit))
        figure.values.append(value)
        if note and note not in figure.notes:
            figure.notes.append(note)
        return figure

    def add_load(
        self,
        key: str,
        name: str,
        measured: Measured,
        *expected: str,
        cpu_us: Mapping[str, float] | None = None,
    ) -> None:
        """Note one round's load; answers other than the `expected` ones are told beside it."""
        figure = self.add(key, name, measured.rate, note=measured.complaint(*expected))
        figure.p50_ms.append(measured.latency_ms.get("p50", 0.0))
        figure.p99_ms.append(measured.latency_ms.get("p99", 0.0))
        for process, micros in (cpu_us or {}).items():
            figure.cpu_us.setdefault(process, []).append(micros)

    def add_point(self, curve: str, series: str, x: float, measured: Measured) -> None:
        """Note one point of a curve."""
        latency = measured.latency_ms
        point = Point(x, measured.rate, latency.get("p50", 0.0), latency.get("p99", 0.0))
        self.curves.setdefault(curve, {}).setdefault(series, []).append(point)

    def add_figure_point(self, curve: str, series: str, x: float, key: str) -> None:
        """Note the medians of a figure as a point of a curve."""
        figure = self.figures[key]
        point = Point(x, figure.median, median(figure.p50_ms), median(figure.p99_ms))
        self.curves.setdefault(curve, {}).setdefault(series, []).append(point)

    def judge(self, target: Target) -> Verdict:
        """Hold the figures against one target, round by round: what disturbs a round disturbs both sides of it."""
        above = self.figures.get(target.key)
        if above is None or (target.against and target.against not in self.figures):
            return Verdict(target, [])
        if not target.against:
            return Verdict(target, list(above.values))
        below = self.figures[target.against].values
        pairs = zip(above.values, below, strict=False)
        return Verdict(target, [value / against for value, against in pairs if against])


def as_json(results: Results, verdicts: Sequence[Verdict], about: dict[str, Any]) -> str:
    """Everything, for other programs."""
    figures = [{**asdict(figure), "median": figure.median} for figure in results.figures.values()]
    targets = [
        {
            **asdict(verdict.target),
            "per_round": verdict.per_round,
            "reached": verdict.reached,
            "verdict": verdict.word,
        }
        for verdict in verdicts
    ]
    curves = {
        name: {series: [asdict(point) for point in points] for series, points in curve.items()}
        for name, curve in results.curves.items()
    }
    whole = {"about": about, "figures": figures, "targets": targets, "curves": curves}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def write_json(path: Path, text: str) -> None:
    """Write it where it was asked for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def print_tables(results: Results, verdicts: Sequence[Verdict], console: Console | None = None) -> None:
    """The figures, then what they show."""
    console = console or Console(width=150)
    console.print(_figures_table(results))
    for figure in results.figures.values():
        for note in figure.notes:
            console.print(f"[yellow]{figure.key}[/]: {note}", highlight=False)
    console.print(_targets_table(verdicts))


def _figures_table(results: Results) -> Table:
    table = Table(title="Figures (medians of the rounds)", title_justify="left")
    for heading in ("case", "what"):
        table.add_column(heading)
    for heading in ("median", "lowest", "highest", "unit", "p50 ms", "p99 ms", "CPU µs"):
        table.add_column(heading, justify="right")
    for figure in results.figures.values():
        table.add_row(
            figure.key,
            figure.name,
            *(shown(value) for value in (figure.median, min(figure.values), max(figure.values))),
            figure.unit,
            f"{median(figure.p50_ms):.2f}" if figure.p50_ms else "",
            f"{median(figure.p99_ms):.2f}" if figure.p99_ms else "",
            ", ".join(f"{process} {median(micros):.0f}" for process, micros in figure.cpu_us.items()),
        )
    return table


def _targets_table(verdicts: Sequence[Verdict]) -> Table:
    table = Table(title="What it must show", title_justify="left")
    table.add_column("what")
    for heading in ("must be", "reached", "per round", "verdict"):
        table.add_column(heading, justify="right")
    for verdict in verdicts:
        target, reached = verdict.target, verdict.reached
        table.add_row(
            target.text,
            f"{'<=' if target.at_most else '>='} {target.bound:g} {target.unit}",
            "-" if reached is None else shown(reached),
            " ".join(shown(value) for value in verdict.per_round),
            verdict.word,
            style={"OK": "green", "not measured": "dim"}.get(verdict.word, "red"),
        )
    return table


def shown(value: float) -> str:
    """A figure with as many digits as it deserves."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"
