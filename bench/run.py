"""One run: its options, its load, its results, and turns taken fairly."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.client import Measured
from bench.load import Load
from bench.machine import Placement, placement
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
                measured = contender.turn(self.options.connections, self.options.seconds)
                contender.after()
                self.results.add_load(key, contender.name, measured, *contender.expected)
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
