"""Fixtures: real servers, one of each a session, and stores that begin empty for each test."""

import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from app import environment
from app.bootstrap import Stores, open_stores
from app.embedded.directory import DirectoryLock
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.valkey import EmbeddedValkey
from app.settings import Settings
from tests import servers

# As the processes do: what a command prints is read by tests, and the duties beside it may log at any moment.
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))


# As the processes do: tests connect to servers of their own, whatever proxy the machine has.
environment.forget_defaults()

SLOW = frozenset({"faults", "acceptance", "properties", "deployment"})
"""Folders whose files take long: begun last, one of them would keep one process busy after the others are done."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long; else the order stays as it was shuffled."""
    items.sort(key=lambda item: SLOW.isdisjoint(item.path.parts))


@pytest.fixture
def held_dir(tmp_path: Path) -> Iterator[Path]:
    """A data directory that a running service holds."""
    lock = DirectoryLock(tmp_path)
    lock.acquire()
    yield tmp_path
    lock.release()


@pytest.fixture
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, and variables of the tests that look like some, of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith(environment.SETTINGS_PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[EmbeddedValkey]:
    with servers.valkey() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedPostgres]:
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
async def migrated(redis_server: EmbeddedValkey, postgres_server: EmbeddedPostgres) -> str:
    """The name of a migrated database, to copy."""
    url = servers.fresh_database(postgres_server)
    async with open_stores(redis_server.url, url, settings=Settings()) as stores:
        await stores.migrate()
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture(scope="session")
def shared_database_url(postgres_server: EmbeddedPostgres, migrated: str) -> str:
    """One migrated database for all tests that leave its schema alone; `emptied_database_url` empties it."""
    return servers.fresh_database(postgres_server, template=migrated)


@pytest.fixture
def emptied_database_url(shared_database_url: str) -> str:
    servers.empty_database(shared_database_url)
    return shared_database_url


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres, migrated: str) -> Iterator[str]:
    url = servers.fresh_database(postgres_server, template=migrated)
    yield url
    servers.drop_database(postgres_server, url)


@pytest.fixture
def test_settings() -> Settings:
    """Settings for a test; a test module may override this fixture."""
    return Settings(trim_margin_seconds=0)


@pytest.fixture
async def stores(
    redis_server: EmbeddedValkey, emptied_database_url: str, test_settings: Settings
) -> AsyncIterator[Stores]:
    """Both stores, empty, the gate open."""
    servers.flush(redis_server)
    async with open_stores(redis_server.url, emptied_database_url, settings=test_settings) as opened:
        await opened.recovery().ensure_open()
        await opened.level.refresh()
        await opened.warehouses.add(servers.LISTED)
        yield opened
