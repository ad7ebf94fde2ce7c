"""Faults: each is a value with a name, and knows how it strikes a house and how it is healed.

`strike` returns once the fault is there, `heal` once its cause is gone; whether the service is ready then is not
theirs to say. What dies by itself is started again by the service's own supervisor.
"""

import contextlib
import os
import random
import signal
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from redis.exceptions import RedisError

from tests.faults.house import House
from tests.servers import until

ROLES = ("api", "worker", "redis", "postgres")
POINT_SECONDS_MAX = 5.0


class Fault(ABC):
    """One thing that goes wrong."""

    name: str

    @abstractmethod
    def strike(self, house: House, chance: random.Random) -> None:
        """Make it happen."""

    def heal(self, house: House) -> None:  # noqa: B027 - most faults leave nothing to heal
        """Take its cause away."""


@dataclass
class Kill(Fault):
    """A signal that a process does not survive, at a random instant."""

    role: str
    number: signal.Signals = signal.SIGKILL
    name: str = ""
    _before: list[int] = field(default_factory=list)

    def strike(self, house: House, chance: random.Random) -> None:
        self._before = house.pids(self.role)
        os.kill(chance.choice(self._before), self.number)

    def heal(self, house: House) -> None:
        """The supervisor does it: wait for the new process."""
        house.until_restarted(self.role, self._before)


@dataclass
class KillAt(Fault):
    """The same, at a named instant of the API or the worker: just before or after a call leaves it."""

    role: str
    number: signal.Signals
    points: tuple[tuple[str, str], ...]
    """(command, point): see `armed`."""
    name: str = ""
    missed: list[str] = field(default_factory=list)
    _before: list[int] = field(default_factory=list)
    _next: int = 0

    def strike(self, house: House, chance: random.Random) -> None:
        command, point = self.points[self._next % len(self.points)]
        self._next += 1
        self._before = house.pids(self.role)
        own = {"serve": "api", "worker": "worker"}[command] == self.role
        pid = 0 if own else chance.choice(self._before)
        order = house.armed_file.with_suffix(".new")
        order.write_text(f"{command} {point} {pid} {int(self.number)}")
        order.rename(house.armed_file)
        deadline = time.monotonic() + POINT_SECONDS_MAX
        while house.armed_file.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        with contextlib.suppress(FileNotFoundError):
            house.armed_file.unlink()
            self.missed.append(f"{command} {point}")
            os.kill(chance.choice(self._before), self.number)  # it strikes all the same

    def heal(self, house: House) -> None:
        house.until_restarted(self.role, self._before)


@dataclass
class RedisFiles(Fault):
    """Redis is killed, and something happens to its append-only file before it starts again."""

    what: str
    """`power-cut`, `delete`, `chop BYTES`: see `redis_life`."""
    lag_seconds: float = 0.0
    """For so long the worker stands still before, so that the last events are nowhere but in Redis."""
    name: str = ""
    _before: list[int] = field(default_factory=list)

    def strike(self, house: House, chance: random.Random) -> None:  # noqa: ARG002
        worker = house.pids("worker")[0]
        if self.lag_seconds:
            os.kill(worker, signal.SIGSTOP)
            time.sleep(self.lag_seconds)
        (house.redis_directory / "before-start").write_text(self.what)
        self._before = house.pids("redis")
        os.kill(self._before[0], signal.SIGKILL)
        if self.lag_seconds:
            os.kill(worker, signal.SIGCONT)

    def heal(self, house: House) -> None:
        house.until_restarted("redis", self._before)
        until(lambda: not (house.redis_directory / "before-start").exists())


@dataclass
class Flush(Fault):
    """FLUSHALL, as by somebody in the wrong window."""

    functions_too: bool = False
    name: str = ""

    def strike(self, house: House, chance: random.Random) -> None:  # noqa: ARG002
        with house.client() as client:
            client.flushall()
            if self.functions_too:
                client.function_flush()


@dataclass
class Stop(Fault):
    """SIGSTOP: the process is there, holds its connections and its locks, and does nothing."""

    role: str
    name: str = ""
    _stopped: list[int] = field(default_factory=list)

    def strike(self, house: House, chance: random.Random) -> None:
        pids = house.pids(self.role)
        self._stopped = (
            _with_children(chance.choice(pids)) if self.role == "postgres" else [chance.choice(pids)]
        )
        for pid in self._stopped:
            os.kill(pid, signal.SIGSTOP)

    def heal(self, house: House) -> None:  # noqa: ARG002
        for pid in reversed(self._stopped):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _with_children(pid: int) -> list[int]:
    """A postmaster and its backends: stopping only the first would stop only new connections."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


@dataclass
class PostgresAway(Fault):
    """Postgres is shut down and stays away until it is healed."""

    name: str = ""

    def strike(self, house: House, chance: random.Random) -> None:  # noqa: ARG002
        assert house.postgres_server
        house.postgres_server.stop(immediate=True)

    def heal(self, house: House) -> None:
        assert house.postgres_server
        house.postgres_server.start()


@dataclass
class Network(Fault):
    """The network between two parts, by their proxy: `cut`, `slow`, `silent` (half-open: bytes vanish both ways),
    or `deaf` (requests arrive, answers vanish).
    """

    pair: str
    how: str
    name: str = ""

    def strike(self, house: House, chance: random.Random) -> None:  # noqa: ARG002
        proxy = house.proxies[self.pair]

        def break_it() -> None:
            if self.how == "cut":
                proxy.refuses = True
                proxy.cut()
            elif self.how == "slow":
                proxy.to_server.delay_seconds = proxy.to_client.delay_seconds = 0.3
            else:
                proxy.to_client.drops = True
                proxy.to_server.drops = self.how == "silent"

        house.outside.do(break_it)

    def heal(self, house: House) -> None:
        proxy = house.proxies[self.pair]

        def mend() -> None:
            proxy.refuses = False
            for way in (proxy.to_server, proxy.to_client):
                way.drops = False
                way.delay_seconds = 0.0
            if self.how in {"silent", "deaf"}:
                proxy.cut()  # a stream that lost bytes is of no more use; the firewall says so now

        house.outside.do(mend)


def redis_is(house: House) -> bool:
    """Whether Redis answers."""
    try:
        with house.client() as client:
            return bool(client.ping())
    except (RedisError, OSError):
        return False
