"""Every way to reach both stores: TLS with real certificates, sockets, IPv6, special characters; and each is a way
to every level."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import httpx
import pytest

from app.addresses.postgres import read_postgres
from app.addresses.reasons import postgres_sentence, redis_sentence
from app.bootstrap import Stores, open_api, open_ledger, open_stores
from app.commands.ledger import ledger
from app.commands.verify import verify
from app.domain.commands import Opening, OpeningRow
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.hotstore import wire
from app.settings import Settings
from tests import servers
from tests.integration.working import until, working
from tests.proxy import Proxy
from tests.tls import Certificates, PostgresBehindTls, make_certificates, running

SECRET = "p@ss/w:rd?#%&+= é"
_numbers = itertools.count()


class Urls(NamedTuple):
    redis: str
    database: str


class Both(NamedTuple):
    """The servers of the tests, and what they are reached with."""

    redis: EmbeddedValkey
    postgres: EmbeddedPostgres
    database_url: str
    certificates: Certificates

    @property
    def database(self) -> str:
        return self.database_url.partition("?")[0].rpartition("/")[2]

    @property
    def redis_password(self) -> str:
        return urlsplit(self.redis.url).password or ""

    @property
    def postgres_login(self) -> str:
        return self.database_url.partition("//")[2].partition("@")[0]

    @property
    def postgres_socket(self) -> str:
        return f"{self.postgres.directory}/socket/.s.PGSQL.5432"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def both(
    stores: Stores, redis_server: EmbeddedValkey, postgres_server: EmbeddedPostgres, emptied_database_url: str,
    certificates: Certificates,
) -> Both:  # fmt: skip
    """Both stores are empty, and the gate is open."""
    return Both(redis_server, postgres_server, emptied_database_url, certificates)


@pytest.fixture(scope="module")
def replica(redis_server: EmbeddedValkey) -> Iterator[EmbeddedValkey]:
    primary = urlsplit(redis_server.url)
    config = {"replicaof": f"{primary.hostname} {primary.port}", "masterauth": primary.password or ""}
    with servers.valkey(config=config) as server:
        yield server


# The ways


@asynccontextmanager
async def all_at_once(both: Both) -> AsyncIterator[Urls]:
    """TLS with certificates of both ends, over IPv6, with every special character in users and passwords."""
    at = both.certificates
    name, secret = SECRET.replace(" ", ""), SECRET
    role, password = name.replace('"', '""'), secret.replace("'", "''")
    servers.execute(both.database_url, f"CREATE ROLE \"{role}\" SUPERUSER LOGIN PASSWORD '{password}'")
    async with (
        wire.connect(both.redis.url) as admin,
        running(Proxy("127.0.0.1", both.redis.port, tls=at.context(wants_client=True)), "::1") as redis,
        running(PostgresBehindTls(both.postgres_socket, at.context(wants_client=True)), "::1") as postgres,
    ):
        await admin.execute_command("ACL", "SETUSER", name, "on", f">{secret}", "~*", "&*", "+@all")
        who = f"{quote(name, safe='')}:{quote(secret, safe='')}"
        files = f"sslrootcert={at.authority}&sslcert={at.client}&sslkey={at.client_key}"
        ssl_files = f"ssl_ca_certs={at.authority}&ssl_certfile={at.client}&ssl_keyfile={at.client_key}"
        try:
            yield Urls(
                f"rediss://{who}@[::1]:{redis.port}/0?{ssl_files}",
                f"postgresql://{who}@[::1]:{postgres.port}/{both.database}?sslmode=verify-full&{files}",
            )
        finally:
            await admin.execute_command("ACL", "DELUSER", name)
            # Its connections end with the proxy; what it made belongs to whoever asks.
            servers.execute(
                both.database_url,
                f'REASSIGN OWNED BY "{role}" TO current_user; DROP OWNED BY "{role}"; DROP ROLE "{role}"',
            )


@asynccontextmanager
async def sockets(both: Both) -> AsyncIterator[Urls]:
    host = quote(str(both.postgres.directory / "socket"), safe="")
    path = str(both.redis.directory / "relayed.sock")
    async with running(Proxy("127.0.0.1", both.redis.port), path):
        yield Urls(
            f"unix://:{both.redis_password}@{path}?db=0",
            f"postgresql://{both.postgres_login}@/{both.database}?host={host}&application_name=other",
        )


@asynccontextmanager
async def unverified(both: Both) -> AsyncIterator[Urls]:
    """TLS that looks at no certificate: ssl= as it was, too."""
    context = both.certificates.context(server=both.certificates.elsewhere)
    async with (
        running(Proxy("127.0.0.1", both.redis.port, tls=context)) as redis,
        running(PostgresBehindTls(both.postgres_socket, context)) as postgres,
    ):
        yield Urls(
            f"rediss://:{both.redis_password}@localhost:{redis.port}/0?ssl_cert_reqs=none",
            f"postgresql://{both.postgres_login}@localhost:{postgres.port}/{both.database}?ssl=require",
        )


WAYS: dict[str, Callable[[Both], AbstractAsyncContextManager[Urls]]] = {
    "all at once": all_at_once,
    "sockets": sockets,
    "unverified": unverified,
}


@pytest.mark.tier
@pytest.mark.parametrize("way", WAYS)
async def test_every_level_is_reached(
    way: str, both: Both, stores: Stores, replica: EmbeddedValkey, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    await stores.hot.execute(Opening([OpeningRow("A", "north", 100)]))
    await stores.client.config_set("repl-diskless-sync-delay", 0)
    async with WAYS[way](both) as urls:
        settings = Settings(redis_url=urls.redis, database_url=urls.database, durability_wait_seconds=20)
        async with (
            open_stores(settings=settings) as mine,
            working(mine),
            open_api(settings) as api,
            httpx.AsyncClient(transport=httpx.ASGITransport(api.app), base_url="http://test") as http,
        ):
            await until(lambda: ready(http))
            levels = {wanted: await reached(http, wanted) for wanted in ("memory", "disk", "ledger")}
            assert levels == {"memory": "disk", "disk": "disk", "ledger": "ledger"}
            await until(lambda: is_reached(http, "replica"))
            monkeypatch.setenv("SELLABLE_REDIS_URL", urls.redis)
            monkeypatch.setenv("SELLABLE_DATABASE_URL", urls.database)
            assert await verify(as_json=False, data_dir=tmp_path, open_stores=open_stores) == 0
            assert await ledger(as_json=False, data_dir=tmp_path, open_ledger=open_ledger) == 0
    assert "no difference" in capsys.readouterr().out


async def ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/readyz")).status_code == 200


async def reached(http: httpx.AsyncClient, wanted: str) -> str:
    lock = {"lock_id": f"L{next(_numbers)}", "lines": [{"sku": "A", "quantity": 1}], "durability": wanted}
    response = await http.post("/v1/locks", json=lock)
    assert response.status_code == 201, response.text
    return str(response.json()["durability"])


async def is_reached(http: httpx.AsyncClient, wanted: str) -> bool:
    return await reached(http, wanted) == wanted


# What each sslmode makes of each server


POSTGRES = {  # the server's certificate (None: no TLS), the query, and what comes of it ("": connected)
    ("server", "sslmode=disable"): "Postgres cannot be reached: ",
    ("server", "sslmode=allow"): "",
    ("server", "sslmode=prefer"): "",
    ("server", ""): "",
    ("server", "sslmode=require"): "",
    ("server", "ssl=require"): "",
    ("server", "sslmode=verify-ca&sslrootcert={authority}"): "",
    ("server", "sslmode=verify-full&sslrootcert={authority}"): "",
    ("server", "sslmode=verify-full&sslrootcert={stranger}"): "the server's certificate is not accepted",
    ("server", "sslmode=verify-full"): "the server's certificate is not accepted",
    ("server", "sslmode=require&sslrootcert={stranger}"): "the server's certificate is not accepted",
    ("elsewhere", "sslmode=verify-ca&sslrootcert={authority}"): "",
    ("elsewhere", "sslmode=verify-full&sslrootcert={authority}"): "the server's certificate is not accepted",
    (None, "sslmode=require"): "it takes no TLS connections, and sslmode asks for one",
}


@pytest.mark.parametrize(("shown", "query"), POSTGRES)
async def test_what_comes_of_each_sslmode(
    shown: str | None, query: str, both: Both, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGSSLMODE": "disable", "PGHOST": "nowhere.invalid", "PGPASSWORD": "x"}.items():
        monkeypatch.setenv(name, value)  # whoever starts us has other servers, too
    at, wanted = both.certificates, POSTGRES[shown, query]
    context = at.context(server=getattr(at, shown)) if shown else None
    query = query.format(authority=at.authority, stranger=at.stranger)
    async with running(PostgresBehindTls(both.postgres_socket, context)) as proxy:
        address = read_postgres(
            f"postgresql://{both.postgres_login}@127.0.0.1:{proxy.port}/{both.database}?{query}"
        )
        said = ""
        try:
            connection = await address.connect(part="watch")
        except Exception as error:  # noqa: BLE001 - whatever it is: there must be a sentence for it
            said = postgres_sentence(error)
        else:
            name = await connection.fetchval("SELECT current_setting('application_name')")
            await connection.close()
            assert name == "sellable watch"
    assert (wanted in said) if wanted else (said == ""), said


REDIS = {
    ("server", "ssl_ca_certs={authority}"): "",
    ("server", "ssl_cert_reqs=none"): "",
    ("server", ""): "the server's certificate is not accepted",
    ("server", "ssl_ca_certs={stranger}"): "the server's certificate is not accepted",
    ("elsewhere", "ssl_ca_certs={authority}"): "the server's certificate is not accepted",
    ("elsewhere", "ssl_ca_certs={authority}&ssl_check_hostname=false"): "",
}


@pytest.mark.parametrize(("shown", "query"), REDIS)
async def test_what_comes_of_each_rediss_url(shown: str, query: str, both: Both) -> None:
    at, wanted = both.certificates, REDIS[shown, query]
    context = at.context(server=getattr(at, shown))
    query = query.format(authority=at.authority, stranger=at.stranger)
    async with running(Proxy("127.0.0.1", both.redis.port, tls=context)) as proxy:
        url = f"rediss://:{both.redis_password}@127.0.0.1:{proxy.port}/0?{query}"
        said = ""
        async with wire.connect(url) as client:
            try:
                await client.ping()
            except Exception as error:  # noqa: BLE001 - as above
                said = redis_sentence(error)
    assert (wanted in said) if wanted else (said == ""), said
