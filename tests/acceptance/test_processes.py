"""`worker` and `serve` as processes of their own, as in a real deployment: how they begin, and how they end."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from app.embedded.valkey import EmbeddedValkey
from tests import servers
from tests.acceptance.service import COMMAND, ROOT, environment, sellable
from tests.servers import until

pytestmark = pytest.mark.tier


class Started:
    """A process of ours, and what it logs."""

    def __init__(self, log: Path, *arguments: str, env: Mapping[str, str]) -> None:
        self.log = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [*COMMAND, *arguments], cwd=ROOT, env=environment(env), stdout=out, stderr=out
            )

    def said(self) -> str:
        return self.log.read_text()

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.said().splitlines() if line.startswith("{")]

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=40)


@contextmanager
def started(log: Path, *arguments: str, env: Mapping[str, str]) -> Iterator[Started]:
    one = Started(log, *arguments, env=env)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def urls(redis_server: EmbeddedValkey, database_url: str) -> dict[str, str]:
    servers.flush(redis_server)
    return {"SELLABLE_REDIS_URL": redis_server.url, "SELLABLE_DATABASE_URL": database_url}


def is_ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_whole_life(urls: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    serve = ("serve", "--port", str(port))
    with (
        started(tmp_path / "worker", "worker", env=urls) as worker,
        started(tmp_path / "api", *serve, env=urls) as api,
    ):
        until(lambda: is_ready(port), limit_seconds=90)
        second = sellable(*serve, env=urls)
        assert second.returncode == 1
        assert second.stderr == (
            f"sellable: the port {port} of 127.0.0.1 cannot be listened on: Address already in use: "
            "stop what uses it, or choose another with --port (0 takes a free one)\n"
        )
        assert "serve.listens" in api.events()
        assert (worker.end(), api.end()) == (0, 0)
        for one in (worker, api):
            assert "Traceback" not in one.said()


@pytest.mark.parametrize("role", ["worker", "serve"])
def test_a_start_that_is_given_up(role: str, urls: dict[str, str], tmp_path: Path) -> None:
    """While it waits for a Postgres that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        env = {**urls, "SELLABLE_DATABASE_URL": f"postgresql://u:p@127.0.0.1:{port}/d"}
        arguments = (role, "--port", str(free_port())) if role == "serve" else (role,)
        with started(tmp_path / role, *arguments, env=env) as one:
            silent.settimeout(60)
            connection, _ = silent.accept()
            with connection:
                assert one.end() == 0
            assert "Traceback" not in one.said()


def test_a_store_that_refuses_us_is_one_sentence(urls: dict[str, str]) -> None:
    wrong = urls["SELLABLE_DATABASE_URL"].replace("sellable:", "sellable:wrong", 1)
    env = {**urls, "SELLABLE_DATABASE_URL": wrong}
    sentence = "sellable: Postgres refuses us: the user or the password of SELLABLE_DATABASE_URL is wrong: "
    for arguments, code in {("verify",): 4, ("ledger", "check"): 4, ("worker",): 1, ("migrate",): 1}.items():
        done = sellable(*arguments, env=env)
        assert done.returncode == code, arguments
        assert done.stderr.splitlines()[-1].startswith(sentence), arguments
        assert "Traceback" not in done.stderr
