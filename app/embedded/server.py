"""What the two embedded servers have in common: a directory with a lock, a log, a start, a stop."""

import enum
import subprocess
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from app.embedded import process
from app.embedded.directory import DirectoryLock
from app.embedded.process import Ladder, Program
from app.errors import UnavailableError

START_LIMIT_SECONDS = 120.0
START_ATTEMPTS = 3


class Readiness(enum.Enum):
    """What a probe of a server says."""

    NO = "no"
    WORKING = "working"
    """Alive and loading its data: give it more time."""
    YES = "yes"


@dataclass(frozen=True)
class Exit:
    """How a process ended: its code (negative: a signal), whether it was ever ready, where its log began."""

    code: int
    was_ready: bool
    log_offset: int


def why_not(name: str, log: Path, last: Exit) -> str:
    """One sentence about a start that failed."""
    said = process.reason(log, since=last.log_offset) or "it said nothing"
    return f"{name} ended with code {last.code} while starting: {said} (log: {log})"


class EmbeddedServer(ABC):
    """A database server of our own in `directory`; not to be shared between threads."""

    name: str
    quick_stop: Ladder

    def __init__(self, directory: Path, *, log: Path | None = None) -> None:
        self.directory = directory.absolute()
        self.lock = DirectoryLock(self.directory)
        self.log = (log or self.directory / f"{self.name}.log").absolute()
        self._child: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect, password included; known once prepared."""

    @abstractmethod
    def prepare(self) -> None:
        """Take the directory and make everything that a start needs; does nothing when called again."""

    @abstractmethod
    def program(self) -> Program:
        """How to run it; needs `prepare` first."""

    @abstractmethod
    def readiness(self, pid: int) -> Readiness:
        """Whether the server that runs as `pid` takes connections; answers within a second."""

    @abstractmethod
    def recover(self, last: Exit) -> None:
        """Look at how it ended before it is started again."""

    def command(self) -> list[str]:
        """The command line that the server runs with."""
        return list(self.program().argv)

    @property
    def pid(self) -> int | None:
        """The server's process id, while it was started by `start` and runs."""
        return self._child.pid if self._child and self._child.poll() is None else None

    def start(self) -> None:
        """Start it and return when it is ready.

        Raises `ConfigurationError` if it cannot be set up, `UnavailableError` if it ends or takes too long.
        """
        self.prepare()
        attempts = 1
        while (last := self._start_once()) is not None:
            if attempts == START_ATTEMPTS:
                self.close()
                raise UnavailableError(why_not(self.name, self.log, last))
            attempts += 1
            self.recover(last)

    def stop(self, *, immediate: bool = False) -> None:
        """Stop it, cleanly or at once, and give the directory back; does nothing when it doesn't run."""
        if self._child is not None:
            process.halt([self._child], self.quick_stop if immediate else self.program().stop)
            self._child = None
        self.close()

    def close(self) -> None:
        """Give the directory back."""
        self.lock.release()

    def _start_once(self) -> Exit | None:
        program, offset = self.program(), process.size(self.log)
        child = self._child = process.spawn(program)
        self.lock.record({child.pid: program.death_signal})
        patience = process.Patience(START_LIMIT_SECONDS)
        while (code := child.poll()) is None:
            match self.readiness(child.pid):
                case Readiness.YES:
                    return None
                case Readiness.WORKING:
                    patience.renew()
                case Readiness.NO if patience.is_over:
                    self.stop(immediate=True)
                    raise UnavailableError(
                        f"{self.name} was not ready after {START_LIMIT_SECONDS:.0f} s (log: {self.log})"
                    )
                case _:
                    pass
            time.sleep(process.POLL_SECONDS)
        self._child = None
        return Exit(code=code, was_ready=False, log_offset=offset)
