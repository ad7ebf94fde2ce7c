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

from tests.faults.house import House
from tests.proxy import Proxy
from tests.servers import until

POINT_SECONDS_MAX = 5.0
COMMAND_SECONDS_MAX = 120.0
"""How long a command may take from its start: beside a full load it gets little of the machine."""


class Fault(ABC):
    """One thing that goes wrong."""

    name: str

    @abstractmethod
    def strike(self, house: House, chance: random.Random) -> None:
        """Make it happen."""

    def heal(self, house: House) -> None:  # noqa: B027 - most faults leave nothing to heal
        """Take its cause away."""

    def was_felt(self, house: House) -> bool:  # noqa: ARG002
        """Whether there is a trace of it, where one can be looked for: a fault that missed shows nothing."""
        return True


def _signal(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process, which may be dying of the strike before."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


@dataclass
class Kill(Fault):
    """A signal that a process does not survive, at a random instant."""

    role: str
    number: signal.Signals = signal.SIGKILL
    name: str = ""
    _before: list[int] = field(default_factory=list)

    def strike(self, house: House, chance: random.Random) -> None:
        self._before = house.pids(self.role)
        _signal(chance.choice(self._before), self.number)

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
    cause: Fault | None = None
    """What has to happen first, such as the death of Redis for an instant of the recovery from it."""
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
        house.arm(f"{command} {point} {pid} {int(self.number)}")
        if self.cause is not None:
            self.cause.strike(house, chance)
        deadline = time.monotonic() + POINT_SECONDS_MAX
        while house.armed_file.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        if house.disarm():
            self.missed.append(f"{command} {point}")
            _signal(chance.choice(self._before), self.number)  # it strikes all the same

    def heal(self, house: House) -> None:
        if self.cause is not None:
            self.cause.heal(house)
        house.until_restarted(self.role, self._before)


@dataclass
class Rebuild(Fault):
    """`sellable rebuild`, by an operator who means well; or by several of them `at_once`, of whom one is let."""

    at_once: int = 1
    name: str = ""

    def strike(self, house: House, chance: random.Random) -> None:  # noqa: ARG002
        running = [house.command("rebuild") for _ in range(self.at_once)]
        ends = sorted(one.wait(timeout=COMMAND_SECONDS_MAX) for one in running)
        assert ends[0] == 0, "no rebuild was done"
        assert set(ends) <= {0, 1}, ends  # 1: another one was at it


@dataclass
class BrokenRebuild(Fault):
    """`sellable rebuild` that is killed: at one of its own instants or, without points, at a random one of its work."""

    points: tuple[tuple[str, str], ...] = ()
    name: str = ""
    missed: list[str] = field(default_factory=list)
    _next: int = 0

    def strike(self, house: House, chance: random.Random) -> None:
        if self.points:
            self._kill_at(house)
        else:
            self._kill_somewhen(house, chance)

    def _kill_at(self, house: House) -> None:
        command, point = self.points[self._next % len(self.points)]
        self._next += 1
        house.arm(f"{command} {point} 0 {int(signal.SIGKILL)}")
        if house.command("rebuild").wait(timeout=COMMAND_SECONDS_MAX) != -signal.SIGKILL:
            self.missed.append(f"{command} {point}")
            house.disarm()

    def _kill_somewhen(self, house: House, chance: random.Random) -> None:
        with house.client() as client:
            epoch = client.hget("{s0}:meta", "epoch")
            rebuild = house.command("rebuild")
            until(
                lambda: (
                    rebuild.poll() is not None
                    or client.hmget("{s0}:meta", "state", "epoch") != ["ready", epoch]
                ),
                limit_seconds=COMMAND_SECONDS_MAX,
            )
        time.sleep(chance.uniform(0.0, 0.5))
        rebuild.kill()
        rebuild.wait()


@dataclass
class RedisFiles(Fault):
    """Redis is killed, and something happens to its append-only file before it starts again."""

    what: str
    """`power-cut`, `delete`, `chop BYTES`: see `redis_life`."""
    name: str = ""
    _before: list[int] = field(default_factory=list)

    def strike(self, house: House, chance: random.Random) -> None:  # noqa: ARG002
        (house.redis_directory / "before-start").write_text(self.what)
        self._before = house.pids("redis")
        os.kill(self._before[0], signal.SIGKILL)

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


@dataclass
class Together(Fault):
    """Several faults at once."""

    faults: tuple[Fault, ...]
    name: str = ""

    def strike(self, house: House, chance: random.Random) -> None:
        for fault in self.faults:
            fault.strike(house, chance)

    def heal(self, house: House) -> None:
        for fault in self.faults:
            fault.heal(house)


@dataclass
class Lagging(Fault):
    """A fault that strikes while the ledger is behind: the worker stands still for so long before."""

    fault: Fault
    seconds: float
    name: str = ""

    def strike(self, house: House, chance: random.Random) -> None:
        worker = house.pids("worker")[0]
        os.kill(worker, signal.SIGSTOP)
        time.sleep(self.seconds)
        self.fault.strike(house, chance)
        os.kill(worker, signal.SIGCONT)

    def heal(self, house: House) -> None:
        self.fault.heal(house)


@dataclass
class Failover(Fault):
    """The primary is left for its replica, which missed what was written in the last `behind_seconds`.

    `old` is what becomes of the old primary meanwhile: `leave` (it runs on, nobody talks to it), `kill`, or `stop`: it
    was only frozen, the API's connections to it stay, and it goes on when it wakes up. Healing makes it the new
    primary's replica, so that the next failover leads back to it.
    """

    behind_seconds: float = 0.0
    old: str = "leave"
    name: str = ""

    def strike(self, house: House, chance: random.Random) -> None:  # noqa: ARG002
        old, new = house.primary, house.standby
        link = house.proxies[house.link(old, new)]
        if self.behind_seconds:
            house.outside.do(setattr, link.to_client, "drops", True)
            time.sleep(self.behind_seconds)
        if self.old == "kill":
            old.stop(immediate=True)
        elif self.old == "stop":
            os.kill(old.pid or 0, signal.SIGSTOP)
        with house.client(new) as client:
            client.execute_command("REPLICAOF", "NO", "ONE")
        house.outside.do(self._lead_to, house, new.port)

    def _lead_to(self, house: House, port: int) -> None:
        for who in ("api-redis", "worker-redis"):
            proxy = house.proxies[who]
            proxy.target = ("127.0.0.1", port)
            if self.old != "stop" or who == "worker-redis":
                proxy.cut()

    def heal(self, house: House) -> None:
        new, old = house.primary, house.standby
        if self.old == "kill":
            old.start()
        elif self.old == "stop":
            os.kill(old.pid or 0, signal.SIGCONT)
            time.sleep(2.0)  # so long does it believe that it is the primary
        for link in (house.link(old, new), house.link(new, old)):
            if link in house.proxies:
                house.outside.do(self._mend, house.proxies[link])
        house.replicate(new, old)

    def _mend(self, link: Proxy) -> None:
        link.to_client.drops = False
        link.cut()


@dataclass
class DiskFull(Fault):
    """A file of somebody else takes the last byte of a server's small disk."""

    which: str
    name: str = ""

    def strike(self, house: House, chance: random.Random) -> None:  # noqa: ARG002
        with (
            contextlib.suppress(OSError),
            (house.data / self.which / "filler").open("wb", buffering=0) as filler,
        ):
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while filler.write(b"x" * size) == size:
                        pass

    def heal(self, house: House) -> None:
        (house.data / self.which / "filler").unlink()

    def was_felt(self, house: House) -> bool:
        said = (house.data / "logs" / f"{self.which}.log").read_text(errors="replace")
        return any(sign in said for sign in ("No space left", "Short write", "AOF write error"))


@dataclass
class MemoryFull(Fault):
    """Redis may take no more memory than it has."""

    name: str = ""

    def strike(self, house: House, chance: random.Random) -> None:  # noqa: ARG002
        with house.client() as client:
            client.config_set("maxmemory", max(1, int(client.info("memory")["used_memory"])))

    def heal(self, house: House) -> None:
        with house.client() as client:
            client.config_set("maxmemory", 0)


@dataclass
class ClockMoved(Fault):
    """The clock that Redis sees jumps, and comes back when it is healed."""

    seconds: int
    name: str = ""

    def strike(self, house: House, chance: random.Random) -> None:  # noqa: ARG002
        house.set_clock(self.seconds)
        with house.client() as client:
            until(lambda: abs(client.time()[0] - time.time() - self.seconds) < 10)

    def heal(self, house: House) -> None:
        house.set_clock(0)


_POISON = """
local meta = redis.call('HMGET', KEYS[1], 'tip', 'epoch', 'at')
local move = string.format('["POISON",%s,"north","j","a",1,[%s,0,0,0,0],"%s"]', ARGV[1], ARGV[1], ARGV[2])
local body = string.format('[2,"adjust",%s,"adjust:poison-%s","%s","somebody",null,null,null,null,[%s]]',
  meta[3], ARGV[1], string.rep('0', 16), move)
local position = redis.call('XADD', KEYS[2], meta[2] .. '-*', 'p', meta[1], 'e', body)
redis.call('HSET', KEYS[1], 'tip', string.sub(redis.sha1hex(meta[1] .. body), 1, 16), 'last', position)
redis.call('HSET', KEYS[3], 'v', ARGV[1], 'north:a', ARGV[1])
return position
"""


@dataclass
class Poison(Fault):
    """An event that the hot store has and Postgres will never take: its move's reason holds a NUL."""

    name: str = ""
    _count: int = 0

    def strike(self, house: House, chance: random.Random) -> None:  # noqa: ARG002
        self._count += 1
        keys = ("{s0}:meta", "{s0}:outbox", "{s0}:stock:POISON")
        with house.client() as client:
            client.eval(_POISON, len(keys), *keys, str(self._count), "\\u0000")
