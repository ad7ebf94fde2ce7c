"""Load on a port of this machine: from `wrk` where it is installed, else from the bench's own client."""

import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.client import Job, Measured
from bench.machine import on_cores

LATE_SECONDS_MAX = 60.0
WARMUP_SECONDS = 0.3
_HOST = "127.0.0.1"
_READ_LUA = Path(__file__).with_name("read.lua")
_LOCK_LUA = Path(__file__).with_name("lock.lua")
_run_numbers = itertools.count(1)


class BrokenLoadError(Exception):
    """The load could not be run or answered nothing."""


class Load:
    """Sends load from `cores`, and waits for its figures."""

    def __init__(self, cores: tuple[int, ...]) -> None:
        self._cores = cores
        self._wrk = shutil.which("wrk")

    @property
    def read_tool(self) -> str:
        """What reads come from."""
        return "wrk" if self._wrk else "own client"

    def read(self, port: int, paths: Sequence[str], *, connections: int, seconds: float) -> Measured:
        """GET `paths` in turn."""
        if self._wrk and seconds >= 1:  # wrk counts whole seconds
            return self._wrk_read(port, paths, connections=connections, seconds=round(seconds))
        requests = [(get_request(path), b"") for path in paths]
        return self.run(
            Job(
                port=port,
                protocol="http",
                requests=requests,
                connections=connections,
                seconds=seconds,
                warmup_seconds=min(WARMUP_SECONDS, seconds / 2),
            )
        )

    def read_each_once(self, port: int, paths: Sequence[str], *, seconds_max: float = 60.0) -> Measured:
        """GET every path one time: fills a cache."""
        requests = [(get_request(path), b"") for path in paths]
        return self.run(
            Job(
                port=port,
                protocol="http",
                requests=requests,
                connections=64,
                seconds=seconds_max,
                requests_max=len(paths),
            )
        )

    def lock(
        self,
        port: int,
        requests: Sequence[tuple[bytes, bytes]],
        *,
        connections: int,
        seconds: float,
        rate: float | None = None,
        own_client: bool = False,
    ) -> Measured:
        """POST locks, each with an id never used before; on a schedule where a `rate` is given.

        A schedule needs the own client; `own_client` sends without one from it too, so that the two can be compared.
        wrk tells only whether an answer was an error: a 409 and a 503 look alike to it.
        """
        if self._wrk and seconds >= 1 and rate is None and not own_client:
            return self._wrk_lock(port, requests, connections=connections, seconds=round(seconds))
        return self.run(
            Job(
                port=port,
                protocol="http",
                requests=list(requests),
                connections=connections,
                seconds=seconds,
                warmup_seconds=min(WARMUP_SECONDS, seconds / 2),
                id_prefix=fresh_prefix(),
                rate=rate,
            )
        )

    def call(
        self,
        port: int,
        requests: Sequence[tuple[bytes, bytes]],
        *,
        greeting: bytes,
        connections: int,
        seconds: float,
    ) -> Measured:
        """Call Redis itself, one call in flight a connection, each with a fresh id."""
        return self.run(
            Job(
                port=port,
                protocol="resp",
                requests=list(requests),
                connections=connections,
                seconds=seconds,
                warmup_seconds=min(WARMUP_SECONDS, seconds / 2),
                id_prefix=fresh_prefix(),
                greeting=greeting,
            )
        )

    def run(self, job: Job) -> Measured:
        """Run any job."""
        with on_cores(self._cores):
            child = subprocess.Popen(
                [sys.executable, "-m", "bench.client"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=Path(__file__).parent.parent,
            )
        said, complaint = _finish(child, msgspec.msgpack.encode(job), job.seconds + job.warmup_seconds)
        if child.returncode != 0:
            raise BrokenLoadError(complaint.decode("utf-8", "replace")[-2000:])
        return msgspec.json.decode(said, type=Measured)

    def _wrk_read(self, port: int, paths: Sequence[str], *, connections: int, seconds: int) -> Measured:
        content = "".join(f"{path}\n" for path in paths).encode()
        url = f"http://{_HOST}:{port}{paths[0]}"
        said = self._run_wrk(url, _READ_LUA, content, connections=connections, seconds=seconds)
        return measured_by_wrk(said)

    def _wrk_lock(
        self, port: int, requests: Sequence[tuple[bytes, bytes]], *, connections: int, seconds: int
    ) -> Measured:
        content = b"".join(b"%b\0%b\0" % request for request in requests)
        said = self._run_wrk(
            f"http://{_HOST}:{port}/",
            _LOCK_LUA,
            content,
            fresh_prefix(),
            connections=connections,
            seconds=seconds,
        )
        return measured_by_wrk(said, good="201", bad="409")

    def _run_wrk(
        self, url: str, script: Path, content: bytes, *arguments: str, connections: int, seconds: int
    ) -> str:
        assert self._wrk
        with tempfile.NamedTemporaryFile("wb", suffix=".requests") as file:
            file.write(content)
            file.flush()
            options = ["-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script)]
            with on_cores(self._cores):
                child = subprocess.Popen(
                    [self._wrk, *options, url, "--", file.name, *arguments],
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
            said, _ = _finish(child, b"", seconds)
        return said.decode("utf-8", "replace")


def _finish(child: "subprocess.Popen[bytes]", given: bytes, seconds: float) -> tuple[bytes, bytes]:
    try:
        said, complaint = child.communicate(given or None, timeout=seconds + LATE_SECONDS_MAX)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    return said, complaint or b""


def measured_by_wrk(said: str, *, good: str = "200", bad: str = "4xx or 5xx") -> Measured:
    """Read the line that our scripts print; raise `BrokenLoadError` where there is none."""
    line = next((line for line in reversed(said.splitlines()) if line.startswith("{")), None)
    if line is None:
        raise BrokenLoadError(said[-2000:])
    told = json.loads(line)
    answers = {good: told["requests"] - told["refused"]}
    if told["refused"]:
        answers[bad] = told["refused"]
    if told["broken"]:
        answers["lost connection"] = told["broken"]
    return Measured(
        tool="wrk",
        requests=told["requests"],
        everything=told["requests"],
        seconds=told["micros"] / 1e6,
        answers=answers,
        latency_ms={name: told[name] / 1000 for name in ("p50", "p90", "p99", "max")},
    )


def fresh_prefix() -> str:
    """Eight characters that no run before had; with the number after it, an id of twenty."""
    return f"b{next(_run_numbers):06d}-"


def get_request(path: str) -> bytes:
    """The bytes of a GET."""
    return f"GET {path} HTTP/1.1\r\nHost: {_HOST}\r\n\r\n".encode()


ID_MARK = "0" * 20
"""Stands for the id while a request is built: as long as the ids that take its place."""


def lock_request(lines: Sequence[str], *, path: str = "/v1/locks") -> tuple[bytes, bytes]:
    """The bytes of a POST that locks one unit of each SKU in `lines`, before and after its id."""
    body = json.dumps({"lock_id": ID_MARK, "lines": [{"sku": sku, "quantity": 1} for sku in lines]}).encode()
    headers = f"Host: {_HOST}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    head = f"POST {path} HTTP/1.1\r\n{headers}\r\n\r\n"
    return split_at_id(head.encode() + body)


def split_at_id(request: bytes) -> tuple[bytes, bytes]:
    """What comes before and after the id's place."""
    before, _, after = request.partition(ID_MARK.encode())
    return before, after
