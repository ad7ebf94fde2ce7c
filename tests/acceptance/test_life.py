"""Starting, stopping and starting again; and what keeps a start from happening, in one sentence."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis

from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from tests import servers
from tests.acceptance.service import Service, sellable

NOWHERE = "redis://127.0.0.1:1/0"
NO_LEDGER = "postgresql://nobody@127.0.0.1:1/nothing"


def refused(service: Service) -> str:
    """The one line with which a start was refused; nothing may be left of it."""
    assert service.wait() == 1, service.said()
    assert service.left_running() == []
    assert not (service.data / "run.json").exists()
    said = service.said()
    assert said.startswith("sellable: ")
    assert said.count("\n") == 1, said
    return said


@pytest.mark.tier
def test_stopped_and_started_again(up: Callable[..., Service]) -> None:
    first = up().ready()
    first.open_stock(("kept", "north", 9, 2), ("kept", "south", 1))
    assert first.lock("kept-1", ("kept", 3)).status_code == 201
    assert first.post("/v1/locks/kept-1/confirm").status_code == 200
    stock, lock = first.stock("kept"), first.get("/v1/locks/kept-1").json()
    members = [first.pid(role) for role in ("api", "worker", "redis", "postgres")]
    assert all(members)
    assert first.stop() == 0
    assert first.left_running() == []
    assert not (first.data / "run.json").exists()
    assert "Sellable is ready." in first.said()
    assert first.said().endswith("Stopping …\n")

    second = up().ready()
    assert second.stock("kept") == stock
    assert second.get("/v1/locks/kept-1").json() == lock
    repeat = second.lock("kept-1", ("kept", 3))
    assert (repeat.status_code, repeat.json()["current_status"]) == (200, "confirmed")
    assert second.post("/v1/locks/kept-1/deduct", {"shipment_id": "s1"}).json()["status"] == "deducted"
    assert "no difference" in second.verify()


def test_a_second_one_on_the_same_data(service: Service, up: Callable[..., Service]) -> None:
    second = up(data=service.data)
    assert second.wait() == 1
    assert second.said() == (
        f"sellable: the data directory {service.data} is in use by another `sellable up` already\n"
    )
    assert service.is_ready()


def test_a_busy_port(service: Service, up: Callable[..., Service]) -> None:
    port = service.url("").rpartition(":")[2]
    said = refused(up("--port", port))
    assert said.startswith(
        f"sellable: the port {port} of 127.0.0.1 cannot be listened on: Address already in use: "
    )


def test_data_that_cannot_be_written(up: Callable[..., Service], place: Path) -> None:
    (place / "file").touch()
    said = refused(up(data=place / "file" / "data"))
    assert said.startswith(f"sellable: the data directory {place}/file/data cannot be written: ")


# Servers of others


class OldRedis:
    """Answers what is asked of a Redis at first, as one of version 6.2 would."""

    INFO = b"# Server\r\nredis_version:6.2.14\r\nrun_id:0123\r\n# Replication\r\nrole:master\r\n"

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"
        self.threads = [threading.Thread(target=self._accept, daemon=True)]
        self.threads[0].start()

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(10)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.threads.append(threading.Thread(target=self._serve, args=[connection], daemon=True))
                self.threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, ValueError), connection, connection.makefile("rwb") as stream:
            while header := stream.readline():
                words = []
                for _ in range(int(header[1:])):
                    length = int(stream.readline()[1:])
                    words.append(stream.read(length + 2)[:-2].upper())
                stream.write(self._answer(words))
                stream.flush()

    def _answer(self, words: list[bytes]) -> bytes:
        match words[0]:
            case b"INFO":
                return b"$%d\r\n%s\r\n" % (len(self.INFO), self.INFO)
            case b"HELLO":
                return b"%1\r\n$5\r\nproto\r\n:3\r\n"
            case b"TYPE":
                return b"+none\r\n"
            case b"CLIENT" | b"SELECT":
                return b"+OK\r\n"
        return b"-ERR unknown command\r\n"


@contextmanager
def evicting() -> Iterator[str]:
    with servers.valkey(config={"maxmemory-policy": "allkeys-lru"}) as server:
        yield server.url


@contextmanager
def replica() -> Iterator[str]:
    with servers.valkey(config={"replicaof": "127.0.0.1 1"}) as server:
        yield server.url


@contextmanager
def too_old() -> Iterator[str]:
    server = OldRedis()
    try:
        yield server.url
    finally:
        server.close()


@contextmanager
def taken() -> Iterator[str]:
    with servers.valkey() as server:
        with redis.Redis.from_url(server.url) as client:
            client.set("{s0}:meta", "mine")
        yield server.url


@contextmanager
def unreachable() -> Iterator[str]:
    yield NOWHERE


REFUSED_SERVERS = {
    evicting: "Redis may evict keys (maxmemory-policy allkeys-lru): it must be noeviction",
    replica: "this Redis is a replica: give the primary's address",
    too_old: "Redis 6.2.14 is too old: 7.0 or newer is needed, or Valkey",
    taken: "the key {s0}:meta in this Redis belongs to something else (string)",
    unreachable: "Redis cannot be reached: connection refused (127.0.0.1:1)",
}


@pytest.fixture
def ledger_url(postgres_server: EmbeddedPostgres, database_url: str) -> str:
    """A migrated ledger of somebody else's."""
    assert postgres_server.pid
    return database_url


@pytest.mark.tier
@pytest.mark.parametrize("redis_server_of", REFUSED_SERVERS, ids=lambda server: server.__name__)
def test_a_redis_that_will_not_do(
    redis_server_of: Callable[[], Iterator[str]], up: Callable[..., Service], ledger_url: str
) -> None:
    sentence = REFUSED_SERVERS[redis_server_of]
    with redis_server_of() as url:
        urls = {"SELLABLE_REDIS_URL": url, "SELLABLE_DATABASE_URL": ledger_url}
        assert f"sellable: {sentence}" in refused(up(env=urls))
        done = sellable("worker", env=urls)
    assert done.returncode == 1
    assert done.stderr.startswith(f"sellable: {sentence}")


@pytest.mark.tier
def test_a_ledger_that_cannot_be_reached(up: Callable[..., Service], redis_server: EmbeddedValkey) -> None:
    urls = {"SELLABLE_REDIS_URL": redis_server.url, "SELLABLE_DATABASE_URL": NO_LEDGER}
    assert "sellable: Postgres cannot be reached: " in refused(up(env=urls))
    done = sellable("worker", env=urls)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("sellable: Postgres cannot be reached: ")


@pytest.mark.parametrize(
    ("variable", "url", "sentence"),
    [
        ("REDIS", "tcp://localhost", "SELLABLE_REDIS_URL begins with tcp://, which is not supported"),
        ("REDIS", "redis+cluster://a:1,b:2", "SELLABLE_REDIS_URL begins with redis+cluster://, which is not"),
        (
            "DATABASE",
            "mysql://localhost/x",
            "SELLABLE_DATABASE_URL begins with mysql://, which must be postgresql",
        ),
        ("DATABASE", "somewhere", "SELLABLE_DATABASE_URL is no URL"),
        ("DATABASE", "postgresql://h/x?sslmod=require", "SELLABLE_DATABASE_URL has a parameter 'sslmod'"),
    ],
)
@pytest.mark.tier
def test_urls_that_cannot_be_read(variable: str, url: str, sentence: str) -> None:
    urls = {
        "SELLABLE_REDIS_URL": NOWHERE,
        "SELLABLE_DATABASE_URL": NO_LEDGER,
        f"SELLABLE_{variable}_URL": url,
    }
    done = sellable("serve", "--port", "0", env=urls)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"sellable: {sentence}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("name", "value"), [("OUTBOX_MAX", "many"), ("WAREHOUSE_ORDER", "a,{b}")])
def test_settings_that_cannot_be_used(name: str, value: str, up: Callable[..., Service]) -> None:
    urls = {"SELLABLE_REDIS_URL": NOWHERE, "SELLABLE_DATABASE_URL": NO_LEDGER}
    assert f"SELLABLE_{name} is not usable" in refused(up(env={**urls, f"SELLABLE_{name}": value}))


def test_run_json_has_every_part(service: Service) -> None:
    run = json.loads((service.data / "run.json").read_text())
    assert set(run) == {"api", "redis", "database", "pids"}
    assert set(run["pids"]) == {"supervisor", "api", "worker", "redis", "postgres"}
    assert run["pids"]["supervisor"] == service.process.pid
