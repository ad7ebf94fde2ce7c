"""One real `sellable up`, as a user starts it: a process, a data directory, an HTTP port."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.embedded import process
from tests.servers import until

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "app")
START_SECONDS = 90
ROLES = ("api", "worker", "redis", "postgres")


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment without the settings that whoever runs the tests may have."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SELLABLE_", "PG"))}
    return {**kept, **(more or {})}


def sellable(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


class Service:
    """A `sellable up` that was started; `data` is its directory, `log` a file for what it says."""

    def __init__(
        self,
        data: Path,
        *options: str,
        log: Path,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = COMMAND,
        cwd: Path = ROOT,
    ) -> None:
        self.data = data
        self.log = log
        self.client = httpx.Client(verify=False, timeout=20)  # noqa: S501 - loading certificates takes its time
        arguments = ["up", "--no-demo", "--port", "0", "--data-dir", str(data), *options]
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [*command, *arguments], cwd=cwd, env=environment(env), stdout=out, stderr=out
            )

    # Its life

    def said(self) -> str:
        return self.log.read_text()

    def where(self) -> dict[str, Any]:
        """What run.json says; nothing while it is not there."""
        try:
            found: dict[str, Any] = json.loads((self.data / "run.json").read_text())
        except FileNotFoundError:
            assert self.process.poll() is None, self.said()
            return {}
        return found

    def ready(self) -> "Service":
        until(lambda: self.where() and self.is_ready(), limit_seconds=START_SECONDS)
        return self

    def is_ready(self) -> bool:
        try:
            return self.client.get(self.url("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    def pid(self, role: str) -> int:
        found = self.where()["pids"][role]
        return int(found[0] if isinstance(found, list) else found)

    def kill(self, role: str) -> None:
        """kill -9, and wait until run.json names another process in its place."""
        before = self.pid(role)
        os.kill(before, signal.SIGKILL)
        until(lambda: self.where()["pids"][role] not in ([], [before], None, before))

    def wait(self) -> int:
        return self.process.wait(timeout=40)

    def stop(self) -> int:
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def left_running(self) -> list[int]:
        """Processes of the last run that are still alive."""
        record = self.data / "members.json"
        known = json.loads(record.read_text()) if record.exists() else []
        return [pid for pid, born, _ in known if process.identity(pid) == born]

    # What a user does with it

    def sellable(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command that finds this service by its run.json."""
        return sellable(*arguments, "--data-dir", str(self.data))

    def verify(self) -> str:
        """The text of `verify`, which must have found nothing."""
        done = self.sellable("verify")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def url(self, path: str) -> str:
        return str(self.where()["api"]) + path

    def get(self, path: str) -> httpx.Response:
        return self.client.get(self.url(path))

    def get_many(self, paths: Iterable[str]) -> list[dict[str, Any]]:
        """The JSON answers to many GETs, on one connection and without a client's ceremony."""
        connection = http.client.HTTPConnection(httpx.URL(self.url("")).netloc.decode(), timeout=20)
        answers = []
        with contextlib.closing(connection):
            for path in paths:
                connection.request("GET", path)
                answers.append(json.loads(connection.getresponse().read()))
        return answers

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return self.client.post(self.url(path), json=body, headers=headers)

    def lock(self, lock_id: str, *lines: tuple[str, int]) -> httpx.Response:
        asked = [{"sku": sku, "quantity": quantity} for sku, quantity in lines]
        return self.post("/v1/locks", {"lock_id": lock_id, "lines": asked})

    def stock(self, sku: str) -> dict[str, Any]:
        answer = self.get(f"/v1/stock/{quote(sku, safe='')}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["warehouses"])

    def open_stock(self, *rows: tuple[Any, ...]) -> None:
        """Import (sku, warehouse, quantity[, buffer]) rows as a user would: from a file."""
        file = self.log.with_name("open.csv")
        lines = [",".join(map(str, (*row, "")[:4])) for row in rows]
        file.write_text("\n".join(["sku,warehouse,quantity,buffer", *lines]) + "\n")
        done = self.sellable("import-stock", str(file), "--new-warehouses")
        assert done.returncode == 0, done.stderr

    # What is behind it

    @contextlib.contextmanager
    def redis(self) -> Iterator[redis.Redis]:
        client = redis.Redis.from_url(
            self.where()["redis"], decode_responses=True, retry=Retry(NoBackoff(), 0)
        )
        try:
            yield client
        finally:
            client.close()

    def sql(self, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Run one statement as the ledger's superuser, and return its rows."""
        url = self.where()["database"]

        async def run() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(url)
            try:
                return [tuple(row) for row in await connection.fetch(statement, *arguments)]
            finally:
                await connection.close()

        with ThreadPoolExecutor(max_workers=1) as pool:
            return pool.submit(lambda: asyncio.run(run())).result()

    def persisted(self) -> bool:
        """Whether the ledger has every event of the outbox."""
        with self.redis() as client:
            meta = client.hmget("{s0}:meta", "last", "persisted")
        return meta[0] == meta[1]
