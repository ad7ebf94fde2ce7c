"""One run: its options, its load, its results, and turns taken fairly."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench.client import Measured
from bench.load import Load
from bench.machine import Placement, cpu_seconds, cpu_seconds_of_children, placement
from bench.options import Options
from bench.report import Results
from bench.servers import Hall


@dataclass(frozen=True)
class Contender:
    """One row of a comparison: how to run its turn, which answers are right, what to tidy after it."""

    name: str
    turn: Callable[[int, float], Measured]
    """Given connections and seconds."""
    expected: tuple[str, ...] = ("200",)
    after: Callable[[], None] = lambda: None
    pids: Mapping[str, int] = field(default_factory=dict)
    """Whose CPU time is told, such as `http` and `redis`."""


class CpuWatch:
    """CPU time from here on. On a machine that others use too, it says more than a rate."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before = self._now()

    def micros_each(self, count: int) -> dict[str, float]:
        """Microseconds for each of `count` requests, by process; `load` is the client's."""
        after = self._now()
        return {name: (after[name] - spent) * 1e6 / max(count, 1) for name, spent in self._before.items()}

    def _now(self) -> dict[str, float]:
        spent = {name: cpu_seconds(pid) for name, pid in self._pids.items()}
        return {**spent, "load": cpu_seconds_of_children()}


class Run:
    """What the cases share."""

    def __init__(self, options: Options, place: Path) -> None:
        self.options = options
        self.results = Results()
        self.placement = placement(options.placement)
        self.load = Load(self.placement.load)
        self._place = place

    def wants(self, *letters: str) -> bool:
        """Whether any of these families was asked for."""
        return not self.options.only.isdisjoint(letters)

    @contextlib.contextmanager
    def hall(self, name: str, where: Placement | None = None) -> Iterator[Hall]:
        """Servers for one family of cases."""
        print(f"{name}: starting servers …", flush=True)
        with Hall(self._place / name, where or self.placement) as hall:
            yield hall

    def compare(self, contenders: Mapping[str, Contender]) -> None:
        """A, B, C, A, B, C, …: so a slow minute of the machine meets them all."""
        for number in range(1, self.options.rounds + 1):
            for key, contender in contenders.items():
                watch = CpuWatch(contender.pids)
                measured = contender.turn(self.options.connections, self.options.seconds)
                cpu_us = watch.micros_each(measured.everything)
                contender.after()
                self.results.add_load(key, contender.name, measured, *contender.expected, cpu_us=cpu_us)
                print(f"  round {number}  {key:<24} {measured.rate:>10,.0f}/s", flush=True)

    def sweep(self, curve: str, contenders: Mapping[str, Contender]) -> None:
        """Rate and latency against concurrency, once."""
        for connections in self.options.sweep:
            for contender in contenders.values():
                measured = contender.turn(connections, self.options.sweep_seconds)
                contender.after()
                self.results.add_point(curve, contender.name, connections, measured)
                print(
                    f"  {connections:>4} connections  {contender.name:<40} {measured.rate:>10,.0f}/s",
                    flush=True,
                )
