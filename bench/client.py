"""The bench's own load client: a process of its own that keeps calls in flight and times them.

It reads a `Job` from stdin and prints a `Measured`. Requests are built before the clock starts; of a reply
it reads no more than where it ends and what it says first.
"""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

import hiredis
import msgspec
import uvloop

PERCENTILES = (50, 90, 99)
EXAMPLE_MAX = 300
TICK_SECONDS = 0.002
"""How often a schedule is looked at. The loop counts in milliseconds: less than one would be none, and take a core."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to send, and for how long.

    `requests` are taken in turn; each is (before, after), with a fresh id between the two where `id_prefix`
    is given. `rate` (per second) sends on a schedule, late or not, and times from when a request was due;
    without it every connection sends as soon as it was answered.
    """

    port: int
    protocol: Literal["http", "resp"]
    requests: list[tuple[bytes, bytes]]
    connections: int
    seconds: float
    warmup_seconds: float = 0.0
    requests_max: int = 20_000_000
    id_prefix: str = ""
    rate: float | None = None
    greeting: bytes = b""


class Measured(msgspec.Struct, kw_only=True):
    """What came of it. `answers` counts them by status (HTTP) or outcome (RESP); `examples` has one of each.

    `requests` were answered within the time; `everything` is with those of the warm-up and the end.
    """

    tool: str
    requests: int
    everything: int
    seconds: float
    answers: dict[str, int]
    latency_ms: dict[str, float]
    examples: dict[str, str] = {}

    @property
    def rate(self) -> float:
        """Answers per second, whatever they said."""
        return self.requests / self.seconds if self.seconds else 0.0

    def others(self, *expected: str) -> int:
        """How many answers were none of the expected ones."""
        return self.requests - sum(self.answers.get(answer, 0) for answer in expected)

    def complaint(self, *expected: str) -> str:
        """One line about the answers that were not expected, with an example; empty if there were none."""
        others = self.others(*expected)
        if not others:
            return ""
        example = next((text for answer, text in self.examples.items() if answer not in expected), "")
        return f"{others} of {self.requests} answers were others: {self.answers} {example}".rstrip()


def percentiles(latencies: list[float]) -> dict[str, float]:
    """Of latencies in seconds: p50, p90, p99 and max in ms; nearest rank."""
    ranked = sorted(latencies)
    if not ranked:
        return {}
    found = {f"p{p}": ranked[max(0, -(-len(ranked) * p // 100) - 1)] for p in PERCENTILES}
    return {name: round(value * 1000, 3) for name, value in {**found, "max": ranked[-1]}.items()}


def end_of_http(data: bytes) -> int:
    """Where the first response in `data` ends; -1 while it is incomplete. It must have a Content-Length."""
    head = data.find(b"\r\n\r\n")
    if head < 0:
        return -1
    # Header names come in either case; asking for the rest of the word avoids lowering every head.
    at = data.find(b"ontent-length:", 0, head)
    if at < 0:
        at = data.find(b"ontent-Length:", 0, head)
    if at < 0:
        return head + 4
    end = head + 4 + int(data[at + 14 : data.find(b"\r", at)])
    return end if end <= len(data) else -1


class _Connection(asyncio.Protocol):
    """One connection, with one call in flight."""

    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._sent_at = 0.0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._write: Callable[[bytes], None] = transport.write  # type: ignore[attr-defined]

    def send(self, due: float) -> None:
        self._sent_at = due
        self._write(self._run.next_request())

    def data_received(self, data: bytes) -> None:
        if self._received:
            data = self._received + data
        if end_of_http(data) < 0:
            self._received = data
            return
        self._received = b""
        self._run.answered(self, self._sent_at, data[9:12], data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.lost(self, exc)


class _RespConnection(_Connection):
    """The same to Redis itself; the greeting's reply is waited for before the first call."""

    def __init__(self, run: "_Run") -> None:
        super().__init__(run)
        self._reader = hiredis.Reader()
        self.greeted: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        reply = self._reader.gets()
        if reply is False:
            return
        if not self.greeted.done():
            self.greeted.set_result(reply)
            return
        first = reply[0] if isinstance(reply, list) else str(reply).encode()
        self._run.answered(self, self._sent_at, first, reply)


class _Run:
    """One job: hands out requests, notes answers, ends after the time."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._sent = self._done = 0
        self._latencies: list[float] = []
        self._answers: dict[bytes, int] = {}
        self._examples: dict[bytes, object] = {}
        self._idle: deque[_Connection] = deque()
        self._measuring_from = self._end = 0.0
        self._ended = asyncio.Event()
        self._lost = 0

    async def measure(self) -> Measured:
        connections = await self._connect()
        started = time.perf_counter()
        self._measuring_from = started + self._job.warmup_seconds
        self._end = self._measuring_from + self._job.seconds
        if self._job.rate is None:
            for connection in connections:
                connection.send(started)
        else:
            self._idle.extend(connections)
            await self._keep_schedule(self._job.rate, started)
        await asyncio.wait_for(self._ended.wait(), self._end + 30.0 - time.perf_counter())
        return self._measured(min(time.perf_counter(), self._end) - self._measuring_from)

    def next_request(self) -> bytes:
        number = self._sent
        self._sent = number + 1
        before, after = self._job.requests[number % len(self._job.requests)]
        if self._job.id_prefix:
            return b"%b%b%012x%b" % (before, self._job.id_prefix.encode(), number, after)
        return before + after

    def answered(self, connection: _Connection, sent_at: float, answer: bytes, whole: object) -> None:
        now = time.perf_counter()
        self._done += 1
        if now >= self._end or self._done == self._job.requests_max:
            self._ended.set()
        if self._measuring_from <= now < self._end:
            self._latencies.append(now - sent_at)
            count = self._answers.get(answer, 0)
            self._answers[answer] = count + 1
            if not count:
                self._examples[answer] = whole
        if self._job.rate is not None:
            self._idle.append(connection)
        elif now < self._end and self._sent < self._job.requests_max:
            connection.send(now)

    def lost(self, connection: _Connection, exc: Exception | None) -> None:  # noqa: ARG002
        if not self._ended.is_set():
            self._lost += 1
            self._answers[b"lost connection"] = self._lost

    async def _connect(self) -> list[_Connection]:
        loop, kind = (
            asyncio.get_running_loop(),
            _Connection if self._job.protocol == "http" else _RespConnection,
        )
        made = []
        for _ in range(self._job.connections):
            transport, connection = await loop.create_connection(
                lambda: kind(self), "127.0.0.1", self._job.port
            )
            if isinstance(connection, _RespConnection):
                transport.write(self._job.greeting)  # type: ignore[attr-defined]
                await connection.greeted
            made.append(connection)
        return made

    async def _keep_schedule(self, rate: float, started: float) -> None:
        """Send what is due; a request that finds no idle connection waits for one, and its clock runs."""
        due = 0
        while (now := time.perf_counter()) < self._end:
            while self._idle and (at := started + due / rate) <= now:
                self._idle.popleft().send(at)
                due += 1
            await asyncio.sleep(TICK_SECONDS)
        self._ended.set()

    def _measured(self, seconds: float) -> Measured:
        return Measured(
            tool="own client",
            requests=len(self._latencies),
            everything=self._sent,
            seconds=seconds,
            answers={_text(answer): count for answer, count in self._answers.items()},
            latency_ms=percentiles(self._latencies),
            examples={_text(answer): _text(whole)[-EXAMPLE_MAX:] for answer, whole in self._examples.items()},
        )


def _text(answer: object) -> str:
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else str(answer)


def main() -> None:
    """Run the job on stdin."""
    job = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Job)

    async def run() -> Measured:
        return await _Run(job).measure()

    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run())))


if __name__ == "__main__":
    main()
