"""The service's own commands, with instants at which a part may be killed: `python -m tests.faults.armed up …`.

Nothing of it is in the service. Every call that leaves a process has a name here: `<function>:before` and
`:after` for a function of the hot store (`lock:after`: Redis has answered, the HTTP reply is not sent yet),
`xread:…` for the worker's read of the outbox, `commit:…` for a transaction of the ledger. A file says which of
them is armed, by whom, and which process dies there; it is taken away first, so that only one does.
"""

import asyncio
import functools
import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from asyncpg.transaction import Transaction
from redis.asyncio.client import Pipeline, Redis
from redis.asyncio.connection import AbstractConnection

from app.hotstore.line import Line

ARMED = "FAULTS_ARMED"
"""Names the file with `<command> <point> <pid> <signal>`."""
REDIS = "FAULTS_REDIS"
"""Names the program to run as Redis."""
FSYNC = "FAULTS_APPENDFSYNC"
OF_WORKER = "FAULTS_WORKER_"
"""`FAULTS_WORKER_SELLABLE_REDIS_URL` is what the worker gets as `SELLABLE_REDIS_URL`."""


def main() -> None:
    """Run one command as `sellable` would."""
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    if command == "up":
        _start_armed()
    elif command in {"serve", "worker", "rebuild"} and os.environ.get(ARMED):
        _arm(command, Path(os.environ[ARMED]))
    if command in {"serve", "worker"}:
        signal.signal(signal.SIGUSR2, _tell_tasks)
    if command == "worker":
        for name in [name for name in os.environ if name.startswith(OF_WORKER)]:
            os.environ[name.removeprefix(OF_WORKER)] = os.environ[name]
    from app.cli import main as sellable  # noqa: PLC0415 - only now is everything in place

    sellable()


def _tell_tasks(*_: object) -> None:
    """Write down what every task waits for: a run that hangs asks for it."""
    for one in gc.get_objects():
        if isinstance(one, asyncio.Task) and not one.done():
            print(one.get_name(), *_frames_of(one), sep="\n  ", file=sys.stderr)
    sys.stderr.flush()


def _frames_of(task: "asyncio.Task[Any]") -> Iterator[str]:
    """Where a task is, from its outermost coroutine to what it waits for."""
    inner: Any = task.get_coro()
    while inner is not None:
        frame = getattr(inner, "cr_frame", None) or getattr(inner, "ag_frame", None)
        yield f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}" if frame else repr(inner)
        inner = getattr(inner, "cr_await", None) or getattr(inner, "ag_await", None)


def _start_armed() -> None:
    """Start members as this module, and dead ones again at once: fifty deaths in a row are the test's, not theirs."""
    from app import environment  # noqa: PLC0415
    from app.commands import up  # noqa: PLC0415
    from app.embedded import supervisor  # noqa: PLC0415

    supervisor.BACKOFF_SECONDS_MAX = supervisor.BACKOFF_SECONDS_MIN
    up._OWN_COMMAND = (sys.executable, "-m", "tests.faults.armed")
    kept = environment.for_server
    ours = {name: value for name, value in os.environ.items() if name.startswith("FAULTS_")}
    environment.for_server = lambda *given: {**kept(*given), **ours}
    if program := os.environ.get(REDIS):
        fsync = os.environ.get(FSYNC, "always")
        up.EmbeddedValkey = functools.partial(up.EmbeddedValkey, binary=Path(program), appendfsync=fsync)  # type: ignore[misc,assignment]


def _arm(command: str, file: Path) -> None:
    """Put a point before and after whatever leaves this process."""

    def reach(point: str) -> None:
        try:
            who, wanted, pid, number = file.read_text().split()
        except (FileNotFoundError, ValueError):
            return
        if (who, wanted) != (command, point):
            return
        try:
            file.rename(file.with_name("struck"))
        except FileNotFoundError:  # another process was there first
            return
        os.kill(int(pid) or os.getpid(), signal.Signals(int(number)))

    _arm_line(reach)
    _arm_client(reach)
    _arm_commit(reach)


def _name_of(command: Any) -> str:
    """`lock` of `FCALL lock_3fa9c1…`, `xread` of XREAD."""
    if str(command[0]).upper().startswith("FCALL"):
        return str(command[1]).rpartition("_")[0]
    return str(command[0]).lower()


def _arm_line(reach: Callable[[str], None]) -> None:
    """The pipelined connection: what API and sweeper call."""
    call = Line.call

    def armed(self: Line, command: tuple[Any, ...], on_reply: Callable[[Any], None]) -> None:
        name = _name_of(command)
        reach(f"{name}:before")

        def answered(reply: Any) -> None:
            reach(f"{name}:after")
            on_reply(reply)

        call(self, command, answered)

    Line.call = armed  # type: ignore[method-assign]


def _arm_client(reach: Callable[[str], None]) -> None:
    """redis-py: what worker and recovery call, by its pool or by the client."""
    execute, send = Redis.execute_command, AbstractConnection.send_command

    async def armed(self: Redis, *command: Any, **options: Any) -> Any:
        reply = await execute(self, *command, **options)
        reach(f"{_name_of(command)}:after")
        return reply

    async def armed_send(self: AbstractConnection, *command: Any, **options: Any) -> Any:
        reach(f"{_name_of(command)}:before")
        return await send(self, *command, **options)

    run = Pipeline.execute

    async def armed_run(self: Pipeline, raise_on_error: bool = True) -> Any:
        name = _name_of(self.command_stack[0][0]) if self.command_stack else ""
        reach(f"{name}:before")
        replies = await run(self, raise_on_error)
        reach(f"{name}:after")
        return replies

    Pipeline.execute = armed_run  # type: ignore[method-assign]
    Redis.execute_command = armed  # type: ignore[method-assign]
    AbstractConnection.send_command = armed_send  # type: ignore[method-assign]


def _arm_commit(reach: Callable[[str], None]) -> None:
    """asyncpg: every transaction, SQLAlchemy's too."""
    commit = Transaction.commit

    async def armed(self: Transaction) -> None:
        reach("commit:before")
        await commit(self)
        reach("commit:after")

    Transaction.commit = armed


if __name__ == "__main__":
    main()
