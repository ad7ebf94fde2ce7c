"""The supervisor: starts members in order, starts again what dies, and stops all of it in reverse."""

import contextlib
import logging
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import FrameType
from typing import Self

from app.embedded import process
from app.embedded.directory import DirectoryLock
from app.embedded.process import Patience, Program
from app.embedded.server import (
    START_ATTEMPTS,
    START_LIMIT_SECONDS,
    EmbeddedServer,
    Exit,
    Readiness,
    why_not,
)
from app.errors import UnavailableError

_log = logging.getLogger(__name__)

BACKOFF_SECONDS_MIN = 0.1
BACKOFF_SECONDS_MAX = 5.0
STABLE_SECONDS = 30.0
"""A member that ran this long starts with the shortest backoff again."""
IDLE_SECONDS = 1.0
SIGNALS_TOGETHER_SECONDS = 1.0
"""Ctrl-C under `make` arrives twice: from the terminal, and from make."""


class StopRequested(Exception):  # noqa: N818  (a request, not an error)
    """Somebody asked us to stop while we waited for something else."""


def _ready_at_once(pid: int) -> Readiness:  # noqa: ARG001
    return Readiness.YES


def _nothing_to_recover(last: Exit) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Member:
    """One process to keep running.

    Members of the same `role` are stopped together. `readiness` is asked with the process id, and answers
    within a second. `recover` is told how it ended before each new start.
    """

    name: str
    role: str
    program: Program
    readiness: Callable[[int], Readiness] = _ready_at_once
    recover: Callable[[Exit], None] = _nothing_to_recover
    start_limit_seconds: float = START_LIMIT_SECONDS


def member_of(server: EmbeddedServer) -> Member:
    """The member that runs a prepared embedded server."""
    return Member(
        name=server.name,
        role=server.name,
        program=server.program(),
        readiness=server.readiness,
        recover=server.recover,
    )


class _Running:
    """A member, and the process that it is at the moment."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.child: subprocess.Popen[bytes] | None = None
        self.ready = False
        self.failures = 0
        self.last: Exit | None = None
        self.started = 0.0
        self.patience = Patience(member.start_limit_seconds)
        self.due = 0.0
        self.log_offset = 0

    def launch(self, lock_fd: int) -> None:
        """Start the process, after its recovery if it ran before."""
        self.started = time.monotonic()
        self.patience.renew()
        self.log_offset = process.size(self.member.program.log)
        try:
            if self.last is not None:
                self.member.recover(self.last)
            self.child = process.spawn(self.member.program, extra_fds=(lock_fd,))
        except OSError as error:  # no memory, no process, no room: as if it had ended, so tried again
            _log.warning("%s could not be started: %s", self.member.name, error)
            self._ended(os.EX_OSERR)

    def look(self) -> bool:
        """Notice what became of the process; False if it ended just now."""
        if self.child is None:
            return True
        code = self.child.poll()
        if code is not None:
            self._ended(code)
            return False
        now = time.monotonic()
        if not self.ready:
            found = self.member.readiness(self.child.pid)
            self.ready = found is Readiness.YES
            if found is Readiness.WORKING:
                self.patience.renew()
        elif now - self.started > STABLE_SECONDS:
            self.failures = 0
        return True

    def _ended(self, code: int) -> None:
        self.last = Exit(code=code, was_ready=self.ready, log_offset=self.log_offset)
        self.child = None
        self.ready = False
        wait = min(BACKOFF_SECONDS_MIN * 2**self.failures, BACKOFF_SECONDS_MAX)
        self.due = time.monotonic() + wait
        self.failures = min(self.failures + 1, 10)

    def why_not(self) -> str:
        """One sentence about a start that failed."""
        last = self.last or Exit(code=0, was_ready=False, log_offset=self.log_offset)
        return why_not(self.member.name, self.member.program.log, last)


class Supervisor:
    """Runs members until it is told to stop; use it as a context, in the main thread.

    `lock` is held already: its descriptor goes to every child. `on_restart` is called each time that a member
    was started again. Leaving the context stops every member, in the reverse order of their start.
    """

    def __init__(self, lock: DirectoryLock, *, on_restart: Callable[[], None] = lambda: None) -> None:
        self._lock = lock
        self._on_restart = on_restart
        self._running: list[_Running] = []
        self._asked_to_stop: float | None = None
        self._urgent = False
        self._interrupts = False
        self._unrecorded = ""
        self._cleanup = contextlib.ExitStack()
        self._wakeup = -1

    def __enter__(self) -> Self:
        self._cleanup.enter_context(self._signals())
        return self

    def __exit__(self, *_: object) -> None:
        with self._cleanup:
            self.stop()

    def prepare(self, *servers: EmbeddedServer) -> None:
        """Prepare `servers`; `StopRequested` in the middle of it if asked to: it is all made again next time."""
        try:
            self._interrupts = True
            if self._asked_to_stop is not None:
                raise StopRequested
            for server in servers:
                server.prepare()
        finally:
            self._interrupts = False

    def start(self, *members: Member) -> None:
        """Start `members` side by side; return when all are ready.

        Raises `UnavailableError` if one ends three times or takes too long, `StopRequested` if asked to.
        """
        started = [_Running(member) for member in members]
        for running in started:
            self._running.append(running)
            running.launch(self._lock.fd)
        self._record()
        self.wait_until(lambda: all(self._is_up(running) for running in started))

    def refuse_failing(self) -> None:
        """Raise `UnavailableError` if a member has ended three times in a row."""
        for running in self._running:
            if running.failures >= START_ATTEMPTS:
                raise UnavailableError(running.why_not())

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Keep the members running until `condition` holds; it brings its own limit, by raising."""
        while True:
            self._tick()
            if condition():
                return
            self._sleep(process.POLL_SECONDS)

    def run(self, name: str, program: Program, *, limit_seconds: float, stderr: int | None = None) -> int:
        """Run `program` once, to its end, and return its exit code.

        Raises `UnavailableError` after the limit, `StopRequested` if we have to stop.
        """
        child = process.spawn(program, extra_fds=(self._lock.fd,), stderr=stderr)
        patience = Patience(limit_seconds)

        def ended() -> bool:
            if child.poll() is None and patience.is_over:
                raise UnavailableError(f"{name} did not end within {limit_seconds:.0f} s")
            return child.poll() is not None

        try:
            self.wait_until(ended)
        finally:
            process.halt([child], program.stop)
        return child.returncode

    def watch(self) -> None:
        """Keep the members running until a signal asks us to stop."""
        with contextlib.suppress(StopRequested):
            while True:
                self._tick()
                self._sleep(self._pause())

    def pids(self, role: str) -> list[int]:
        """Process ids of the members of `role` that run at the moment, in the order of their start."""
        return [r.child.pid for r in self._running if r.member.role == role and r.child is not None]

    def stop(self) -> None:
        """Stop all members, the last role first; a second signal, a second later, hurries it."""
        for _, group in groupby(reversed(self._running), key=lambda running: running.member.role):
            stopping = [running for running in group if running.child is not None]
            if stopping:
                self._halt(stopping)
        self._running.clear()

    def _halt(self, group: Sequence[_Running]) -> None:
        children = [running.child for running in group if running.child is not None]
        process.halt(children, group[0].member.program.stop, sleep=self._sleep, is_over=self._is_hurried)

    def _is_hurried(self, number: signal.Signals) -> bool:
        """Whether nobody wants to wait until this signal has worked."""
        return self._urgent and number in {signal.SIGTERM, signal.SIGINT}

    def _tick(self) -> None:
        if self._asked_to_stop is not None:
            raise StopRequested
        restarted = [running for running in self._running if self._attend(running)]
        if restarted or self._unrecorded:
            self._record_restart()

    def _record_restart(self) -> None:
        """Write down who runs now; if that fails (a full disk), again with the next tick: the members go on."""
        try:
            self._record()
            self._on_restart()
        except OSError as error:
            if str(error) != self._unrecorded:  # once, not with every try
                _log.warning("which processes run now cannot be written down: %s", error)
            self._unrecorded = str(error)
        else:
            self._unrecorded = ""

    def _attend(self, running: _Running) -> bool:
        """Look after one member; True if it was started again."""
        if not running.look() and running.last is not None:
            _log.warning("%s ended with code %d: starting it again", running.member.name, running.last.code)
        if running.child is None and time.monotonic() >= running.due:
            running.launch(self._lock.fd)
            return running.child is not None
        return False

    def _is_up(self, running: _Running) -> bool:
        """Whether a member that is being started is ready; raises when it won't be."""
        if running.child is None and running.failures >= START_ATTEMPTS:
            raise UnavailableError(running.why_not())
        if running.child is not None and not running.ready and running.patience.is_over:
            limit = running.member.start_limit_seconds
            log = running.member.program.log
            raise UnavailableError(f"{running.member.name} was not ready after {limit:.0f} s (log: {log})")
        return running.ready

    def _pause(self) -> float:
        """How long nothing has to be done, if no signal comes: a child's end is one."""
        if any(running.child is not None and not running.ready for running in self._running):
            return process.POLL_SECONDS
        waiting = [running.due - time.monotonic() for running in self._running if running.child is None]
        return max(0.0, min([IDLE_SECONDS, *waiting]))

    def _record(self) -> None:
        alive = [running for running in self._running if running.child is not None]
        self._lock.record({r.child.pid: r.member.program.death_signal for r in alive if r.child is not None})

    def _sleep(self, seconds: float) -> None:
        """Sleep until a signal comes, `seconds` at most."""
        select.select([self._wakeup], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wakeup, 4096)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Handle signals while the context lasts: each also ends a sleep, by a byte in a pipe."""
        self._wakeup, write_end = os.pipe()
        os.set_blocking(self._wakeup, False)
        os.set_blocking(write_end, False)
        former_fd = signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
        wanted = {signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD}
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
            wanted.add(signal.SIGHUP)
        former = {number: signal.signal(number, self._on_signal) for number in wanted}
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(former_fd)
            os.close(self._wakeup)
            os.close(write_end)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if number == signal.SIGCHLD:
            return
        now = time.monotonic()
        if self._asked_to_stop is None:
            self._asked_to_stop = now
            if self._interrupts:
                raise StopRequested
        elif now - self._asked_to_stop > SIGNALS_TOGETHER_SECONDS:
            self._urgent = True
