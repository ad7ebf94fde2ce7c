"""The procedures of docs/backup.md, run as they stand there, and each store put back older or newer than the other."""

import asyncio
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from app.bootstrap import Stores, open_api, open_ledger, open_stores
from app.commands.ledger import ledger
from app.commands.lost import lost
from app.commands.verify import verify
from app.domain.commands import Opening, OpeningRow
from app.embedded import accounts, process
from app.embedded import postgres as embedded
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.settings import Settings
from tests import servers
from tests.acceptance.service import ROOT, environment
from tests.integration.working import persisted, until, working

pytestmark = pytest.mark.tier
DEBIAN_POSTGRES = Path("/usr/lib/postgresql/15/bin")
DEBIAN_REDIS = Path("/usr/bin/redis-server")
PAGE = (ROOT / "docs" / "backup.md").read_text(encoding="utf-8")


def blocks(heading: str) -> list[str]:
    """The commands under a heading of the page, a piece each."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = re.findall(r"^( *)```sh\n(.*?)^ *```$", section, re.MULTILINE | re.DOTALL)
    assert found, heading
    return [textwrap.dedent(commands) for _, commands in found]


REDIS_CLI = """#!{python}
import sys, redis
client = redis.Redis.from_url(sys.argv[2], decode_responses=True)
answer = client.execute_command(*sys.argv[3:])
print("\\n".join(f"{{k}}:{{v}}" for k, v in answer.items()) if isinstance(answer, dict) else answer)
"""


_renamed: list[Any] = []
"""Servers whose superuser is called as in the container."""


class Stand:
    """Both stores as `docker-compose.yml` has them: an ordinary owner of the ledger, and commands that reach them."""

    def __init__(self, place: Path, redis: EmbeddedValkey, postgres: Any) -> None:
        self.place = place
        self.redis = redis
        self.env: dict[str, str] = {}
        self.programs = embedded._bundled_binaries()
        self._make_redis_cli()
        self.use(postgres)

    def use(self, postgres: Any) -> None:
        """Point the variables at a server."""
        self.postgres = postgres
        first = postgres.url_of("postgres")
        admin = re.sub("//[^@]*@", "//boss:boss@", first)
        if postgres not in _renamed:
            _renamed.append(postgres)
            servers.execute(first, "CREATE ROLE boss SUPERUSER LOGIN PASSWORD 'boss'")
            servers.execute(admin, "ALTER ROLE sellable RENAME TO postgres")
            servers.execute(admin, "DROP DATABASE sellable")
        where = admin.partition("@")[2]
        self.env |= {
            "ADMIN_DATABASE_URL": admin,
            "SELLABLE_DATABASE_URL": f"postgresql://sellable:first@{where.replace('/postgres?', '/sellable?')}",
            "TRIAL_DATABASE_URL": (
                f"postgresql://sellable:first@{where.replace('/postgres?', '/sellable_trial?')}"
            ),
            "ADMIN_REDIS_URL": self.redis.url.replace("//:", "//default:"),
            "SELLABLE_REDIS_URL": self.redis.url,
            "REDIS_DIRECTORY": str(self.redis.directory),
        }

    def begin(self) -> None:
        """An installation of nothing: what deploy/postgres-init.sh makes, and an empty Redis."""
        for statement in (
            "DROP DATABASE IF EXISTS sellable WITH (FORCE)",
            "DROP DATABASE IF EXISTS sellable_before WITH (FORCE)",
            "DROP ROLE IF EXISTS sellable",
            "CREATE ROLE sellable LOGIN PASSWORD 'first'",
            "CREATE DATABASE sellable OWNER sellable",
        ):
            servers.execute(self.env["ADMIN_DATABASE_URL"], statement)
        servers.flush(self.redis)

    async def run(self, commands: str, **env: str) -> str:
        """Run commands of the page while all goes on, and return what they print; they must end with 0."""
        return await asyncio.to_thread(self._run, commands, env)

    def _run(self, commands: str, env: Mapping[str, str]) -> str:
        path = f"{self.place}/bin:{self.programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", commands],
            cwd=self.place,
            env=environment({**self.env, "PATH": path, **env}),
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, (commands, done.stdout, done.stderr)
        return done.stdout

    def _make_redis_cli(self) -> None:
        (self.place / "bin").mkdir()
        if shutil.which("redis-cli") is None:
            program = self.place / "bin" / "redis-cli"
            program.write_text(REDIS_CLI.format(python=sys.executable))
            program.chmod(program.stat().st_mode | stat.S_IXUSR)

    # The service, in this process

    @asynccontextmanager
    async def running(self, *, trims: bool = True) -> AsyncIterator["Life"]:
        """A worker and an API, ready; `trims`: what is persisted leaves the outbox at once."""
        settings = Settings(
            redis_url=self.env["SELLABLE_REDIS_URL"],
            database_url=self.env["SELLABLE_DATABASE_URL"],
            trim_margin_seconds=0 if trims else 3_600,
            durability_wait_seconds=20,
        )
        async with (
            open_stores(settings=settings) as stores,
            working(stores),
            open_api(settings) as api,
            httpx.AsyncClient(transport=httpx.ASGITransport(api.app), base_url="http://test") as http,
        ):
            life = Life(stores, http)
            await until(life.is_ready)
            yield life

    # Copies

    async def back_up_postgres(self) -> None:
        await self.run(blocks("Back up Postgres")[0])

    async def restore_postgres(self) -> None:
        _, restore, migrate, _, drop = blocks("Restore Postgres")
        await self.run(restore + migrate + drop)

    async def back_up_redis(self, name: str) -> None:
        await self.run(blocks("Back up Redis")[0].replace("appendonlydir.copy", name))

    async def restore_redis(self, name: str) -> None:
        """Put a copy back; '' for nothing at all."""
        self.redis.stop()
        remove, put = blocks("Restore Redis")[0].splitlines()
        await self.run(remove if not name else f"{remove}\n{put.replace('appendonlydir.copy', name)}")
        self.redis.start()


class Life:
    """What is done to a running service."""

    def __init__(self, stores: Stores, http: httpx.AsyncClient) -> None:
        self.stores = stores
        self._http = http

    async def is_ready(self) -> bool:
        return (await self._http.get("/readyz")).status_code == 200

    async def lock(self, *names: str) -> None:
        for name in names:
            body = {"lock_id": name, "lines": [{"sku": "A", "quantity": 1}], "ttl_seconds": None}
            response = await self._http.post("/v1/locks", json=body)
            assert response.status_code == 201, response.text

    async def held(self) -> set[str]:
        """Those locks of ours that are there."""
        names = [f"{letter}{n}" for letter in "abcx" for n in range(3)]
        found = [(await self._http.get(f"/v1/locks/{name}")).status_code == 200 for name in names]
        return {name for name, is_there in zip(names, found, strict=True) if is_there}

    async def caught_up(self) -> None:
        await until(lambda: persisted(self.stores))


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[EmbeddedValkey, EmbeddedPostgres]]:
    with servers.valkey() as redis, servers.postgres() as postgres:
        yield redis, postgres


@pytest.fixture
def stand(both: tuple[EmbeddedValkey, EmbeddedPostgres], tmp_path: Path) -> Stand:
    one = Stand(tmp_path, *both)
    one.begin()
    return one


@pytest.fixture
async def begun(stand: Stand) -> Stand:
    """Ten units of A, and the locks a0, a1, a2."""
    await stand.run("sellable migrate")
    async with stand.running() as life:
        await life.stores.hot.execute(Opening([OpeningRow("A", "north", 20)]))
        await life.lock("a0", "a1", "a2")
        await life.caught_up()
    return stand


async def test_the_procedure_of_postgres(begun: Stand) -> None:
    async with begun.running() as life:
        backup, trial = blocks("Back up Postgres")
        await begun.run(backup)
        assert "the ledger is whole" in await begun.run(trial)
        await life.lock("b0", "b1")
        await life.caught_up()
    roles, restore, migrate, compare, drop = blocks("Restore Postgres")
    await begun.run(roles + restore)
    assert "the ledger is at schema" in await begun.run(migrate)
    async with begun.running() as life:
        await life.caught_up()
        said = await begun.run(compare)
        assert "no difference: hot store = projection = sum of the moves\n" in said
        assert "the ledger is whole\n" in said
        assert "0 events lost, 0 counts set right\n" in said
        assert await life.held() == {"a0", "a1", "a2", "b0", "b1"}
        await begun.run(drop)
        rights = "SELECT has_table_privilege('sellable', 'event', 'UPDATE')::text"
        assert await begun.run(f'psql "$SELLABLE_DATABASE_URL" -Atc "{rights}"') == "false\n"


# Older and newer: what is put back, what recovery finds, which locks are there afterwards, and which are listed


A, AB = {"a0", "a1", "a2"}, {"a0", "a1", "a2", "b0", "b1"}
ROWS: dict[str, dict[str, Any]] = {
    "Postgres older, the outbox has it": {"postgres": "a", "trims": False, "finding": "empty", "held": AB},
    "Postgres older, the outbox was trimmed": {"postgres": "a", "finding": "carry_over", "held": AB},
    "Postgres older, Redis empty": {"postgres": "a", "redis": "", "finding": "empty", "held": A},
    "Redis older": {"redis": "a", "finding": "behind", "held": AB},
    "Redis empty": {"redis": "", "finding": "empty", "held": AB},
    "Postgres older, Redis older still": {"postgres": "b", "redis": "a", "finding": "behind", "held": AB},
    "Postgres older, Redis newer than it": {
        "postgres": "a", "redis": "b", "finding": "carry_over", "held": AB,
    },
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
async def test_when_one_store_is_older_than_the_other(
    row: str, begun: Stand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case = ROWS[row]
    async with begun.running(trims=case.get("trims", True)) as life:
        await begun.back_up_redis("a.redis")
        if case.get("postgres") == "a":
            await begun.back_up_postgres()
        await life.lock("b0", "b1")
        await life.caught_up()
        await begun.back_up_redis("b.redis")
        if case.get("postgres") == "b":
            await begun.back_up_postgres()
    if "redis" in case:
        await begun.restore_redis(f"{case['redis']}.redis" if case["redis"] else "")
    else:
        begun.redis.stop()
        begun.redis.start()
    if "postgres" in case:
        await begun.restore_postgres()
    async with begun.running() as life:
        await life.caught_up()
        assert await life.held() == case["held"]
        assert await newest_finding(life.stores) == case["finding"]
        await agree(begun, monkeypatch, capsys, lost_events=0)


async def test_when_each_went_on_without_the_other(
    begun: Stand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with begun.running(trims=False) as life:
        await begun.back_up_redis("a.redis")
        await begun.back_up_postgres()
        await life.lock("x0", "x1", "x2")
        await life.caught_up()
        await begun.back_up_redis("x.redis")
    await begun.restore_redis("a.redis")
    await begun.restore_postgres()
    async with begun.running(trims=False) as life:
        await life.lock("c0")
        await life.caught_up()
        assert await life.held() == A | {"c0"}
    await begun.restore_redis("x.redis")
    async with begun.running() as life:
        await life.caught_up()
        assert await newest_finding(life.stores) == "fork"
        assert await life.held() == A | {"c0"}
        await agree(begun, monkeypatch, capsys, lost_events=3)


async def newest_finding(stores: Stores) -> str:
    """What recovery found last; whoever compares once more finds the same."""
    async with open_ledger(stores.database_url) as opened, opened.engine.connect() as connection:
        found = await connection.exec_driver_sql(
            "SELECT finding FROM epoch WHERE finding <> 'same' ORDER BY epoch DESC LIMIT 1"
        )
        return str(found.scalar_one())


async def agree(
    stand: Stand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, lost_events: int
) -> None:
    """`verify` and `ledger check` end with 0, and `lost list` has so many events."""
    for name in ("SELLABLE_REDIS_URL", "SELLABLE_DATABASE_URL"):
        monkeypatch.setenv(name, stand.env[name])
    capsys.readouterr()
    codes = (
        await verify(as_json=False, data_dir=stand.place, open_stores=open_stores),
        await ledger(as_json=False, data_dir=stand.place, open_ledger=open_ledger),
        await lost(as_json=False, data_dir=stand.place, open_stores=open_stores),
    )
    said = capsys.readouterr().out
    assert codes == (0, 0, 0), said
    assert f"\n{lost_events} events lost, " in said, said


# Upgrades, passwords


@pytest.mark.skipif(not (DEBIAN_POSTGRES / "postgres").exists(), reason="there is no older Postgres here")
async def test_an_upgrade_of_postgres(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with servers.valkey() as redis, older_postgres() as old, servers.postgres() as new:
        stand = Stand(tmp_path, redis, old)
        stand.begin()
        await stand.run("sellable migrate")
        async with stand.running() as life:
            await life.stores.hot.execute(Opening([OpeningRow("A", "north", 20)]))
            await life.lock("a0", "a1")
            await life.caught_up()
        await stand.run(blocks("Upgrade Postgres")[0])
        stand.use(new)
        roles, restore, migrate, _, drop = blocks("Restore Postgres")
        await stand.run(roles + "\n".join(restore.splitlines()[1:]) + "\n" + migrate + drop)
        async with stand.running() as life:
            await life.lock("b0")
            await life.caught_up()
            assert await life.held() == {"a0", "a1", "b0"}
            await agree(stand, monkeypatch, capsys, lost_events=0)


@pytest.mark.skipif(not DEBIAN_REDIS.exists(), reason="there is no older Redis here")
async def test_an_upgrade_of_redis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with servers.postgres() as postgres, servers.scratch() as place:
        old = EmbeddedValkey(place / "redis", binary=DEBIAN_REDIS)
        old.start()
        stand = Stand(tmp_path, old, postgres)
        stand.begin()
        await stand.run("sellable migrate")
        async with stand.running() as life:
            await life.stores.hot.execute(Opening([OpeningRow("A", "north", 20)]))
            await life.lock("a0", "a1")
        old.stop()
        new = EmbeddedValkey(place / "redis")
        new.start()
        try:
            async with stand.running() as life:
                await life.caught_up()
                assert await life.held() == {"a0", "a1"}
                await agree(stand, monkeypatch, capsys, lost_events=0)
        finally:
            new.stop(immediate=True)


async def test_passwords_are_changed_under_traffic(
    begun: Stand, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process with the old ones goes on until it is restarted with the new ones; nothing is lost between."""
    add, remove, change = blocks("Change passwords")
    await begun.run('redis-cli -u "$ADMIN_REDIS_URL" acl setuser shop on ">first" "~*" "&*" "+@all"')
    where = begun.redis.url.rpartition("@")[2]
    begun.env["SELLABLE_REDIS_URL"] = f"redis://shop:first@{where}"
    async with begun.running() as before:
        await before.lock("b0")
        await begun.run(add, REDIS_USER="shop", NEW_PASSWORD="second")
        await begun.run(change, NEW_PASSWORD="second")
        await before.lock("b1")
        begun.env["SELLABLE_REDIS_URL"] = f"redis://shop:second@{where}"
        begun.env["SELLABLE_DATABASE_URL"] = begun.env["SELLABLE_DATABASE_URL"].replace(":first@", ":second@")
        async with begun.running() as after:
            await after.lock("c0")
            await before.lock("c1")
    await begun.run(remove, REDIS_USER="shop", OLD_PASSWORD="first")
    async with begun.running() as life:
        await life.lock("c2")
        await life.caught_up()
        assert await life.held() == A | {"b0", "b1", "c0", "c1", "c2"}
        await agree(begun, monkeypatch, capsys, lost_events=0)


class OlderPostgres:
    """One of Debian's, on a unix socket that lets everybody in."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._user = accounts.service_user(place / "data")
        if self._user is not None:
            shutil.chown(place, self._user.uid)
        made = self._program("initdb", "-D", f"{place}/data", "--username=sellable", "--auth=trust", "--no-sync",
                             "--encoding=UTF8", "--locale=C")  # fmt: skip
        assert process.run_to_end(made, limit_seconds=100) == 0, (place / "log").read_text()
        options = ("listen_addresses=", f"unix_socket_directories={place}", "fsync=off")
        words = [word for option in options for word in ("-c", option)]
        self._child = process.spawn(self._program("postgres", "-D", f"{place}/data", *words))
        servers.until(self._answers)
        servers.execute(self.url_of("postgres"), "CREATE DATABASE sellable")

    def url_of(self, database: str) -> str:
        return f"postgresql://sellable:any@/{database}?host={self._place}&port=5432"

    def stop(self) -> None:
        self._child.send_signal(signal.SIGQUIT)
        self._child.wait(timeout=60)

    def _program(self, tool: str, *arguments: str) -> process.Program:
        return process.Program(
            argv=[str(DEBIAN_POSTGRES / tool), *arguments],
            log=self._place / "log",
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            cwd="/",
            user=self._user,
        )

    def _answers(self) -> bool:
        try:
            servers.execute(self.url_of("postgres"), "SELECT 1")
        except (OSError, asyncpg.PostgresError):
            return False
        return True


@contextmanager
def older_postgres() -> Iterator[OlderPostgres]:
    with servers.scratch() as place:
        server = OlderPostgres(place)
        try:
            yield server
        finally:
            server.stop()
