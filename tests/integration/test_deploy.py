"""What the containers are given: read as YAML, and the Redis in it run for real, with its two users."""

import asyncio
import re
import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from redis.exceptions import NoPermissionError

from app.api.hot.asgi import HotAsgi
from app.bootstrap import Stores, open_api, open_stores
from app.domain.commands import (
    Adjust,
    Booking,
    Confirm,
    Deduct,
    Expire,
    Extend,
    Line,
    Lock,
    Opening,
    OpeningRow,
    Replace,
    Return,
    Unlock,
)
from app.domain.outcomes import Outcome
from app.domain.words import Place
from app.hotstore import rights
from app.recovery.findings import Finding
from app.settings import Settings
from tests.deployment.services import Deployment, bundled, deployment
from tests.integration.working import drain

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "docker-compose.yml").read_text()))


def test_every_service_of_the_file(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert set(services) == {"redis", "postgres", "migrate", "worker", "api"}
    for name in ("migrate", "worker", "api"):
        assert services[name]["command"][0] == {"api": "serve"}.get(name, name)
        assert services[name]["build"] == "."
        for variable in services[name]["environment"]:
            assert variable.removeprefix("SELLABLE_").lower() in Settings.model_fields
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in compose["volumes"] or (ROOT / source).is_file()
        for needed in service.get("depends_on", {}):
            assert needed in services
    assert all("healthcheck" in services[name] for name in ("redis", "postgres", "api"))


def test_no_password_is_in_a_file(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service["environment"].items():
            if "PASSWORD" in name or "KEYS" in name:
                assert re.fullmatch(r"\$\{\w+:\?set it in \.env\}", value)


def test_the_image_is_built_from_what_there_is() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    names = " ".join(copied).split()
    assert names
    assert all((ROOT / name).exists() for name in names)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {f"!{name}" for name in names} <= set(ignored)


def test_the_image_has_the_python_that_is_tested() -> None:
    """The oldest that is supported, which the checks are set to and CI has."""
    images = re.findall(r"^FROM python:(\d+\.\d+)\.\d+-slim", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert {*images} == {project["tool"]["mypy"]["python_version"]}
    assert project["project"]["requires-python"] == f">={images[0]}"
    assert f"Python {images[0]} " in (ROOT / ".ci" / "run").read_text()


def test_images_are_pinned_and_install_what_is_locked(compose: dict[str, Any]) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    images = re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    images += [compose["services"][name]["image"] for name in ("redis", "postgres")]
    assert all(re.fullmatch(r"[a-z]+:\d+\.\d+(\.\d+)?(-[a-z-]+)?", image) for image in images), images
    for command in re.findall(r"pip (?:install|wheel) [^\\&\n]*", dockerfile):
        assert "--require-hashes" in command or "--no-deps" in command, command


def test_the_locks_have_a_hash_of_everything_and_name_no_index() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = {
        "base": [*project["dependencies"], *extras["building"]],
        "up": [*project["dependencies"], *extras["embedded"], *extras["building"]],
        "dev": [*project["dependencies"], *extras["embedded"], *extras["building"], *extras["dev"][1:]],
    }
    for name, wanted in needed.items():
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        entries = [one for one in re.split(r"\n(?=\S)", text) if not one.startswith("#")]
        assert all(
            re.match(r"[a-z0-9._-]+(\[[a-z]+\])?==\S+", one) and "--hash=sha256:" in one for one in entries
        )
        assert "://" not in text
        assert "index" not in text.replace("index-url", "")
        locked = {re.split(r"[=\[]", one)[0] for one in entries}
        assert {re.split(r"[^A-Za-z0-9._-]", one)[0].lower() for one in wanted} <= locked


def test_the_users_are_those_that_the_code_declares() -> None:
    assert (ROOT / "deploy" / "users.acl").read_text() == rights.users()
    assert "~{mine-s0}:*" in rights.users("mine-")


# The Redis of the file, for real


@pytest.fixture(scope="module")
def deployed() -> Iterator[Deployment]:
    with deployment(bundled()) as one:
        one.start("redis")
        yield one


def url_for(deployed: Deployment, user: str) -> str:
    return deployed.environment(user)["SELLABLE_REDIS_URL"]


@pytest.fixture
async def worker(deployed: Deployment, database_url: str) -> AsyncIterator[Stores]:
    async with open_stores(url_for(deployed, "worker"), database_url, settings=Settings()) as stores:
        yield stores


async def test_the_worker_can_do_all_of_its_work_and_the_api_all_of_its_own(
    worker: Stores, deployed: Deployment, database_url: str
) -> None:
    await worker.migrate()
    assert await worker.recovery().ensure_open() is not None
    assert worker.level.level == "disk"
    settings = Settings(redis_url=url_for(deployed, "api"), database_url=database_url)
    async with open_stores(settings=settings) as api:
        await api.check()
        assert api.level.level == "memory"  # CONFIG is not for it, and no worker has stated anything yet
        await every_command(api)
    await everything_of_a_shop(settings)
    await drain(worker)
    for duty in worker.duties():
        await duty.run_once()
    verify = worker.verify(lambda _what, _count: None)
    assert [str(one) async for one in verify.differences()] == []
    assert await worker.recovery().ensure_open(force_rebuild=True) is Finding.SAME


async def everything_of_a_shop(settings: Settings) -> None:
    """The API as it is served, with its own connection and near cache."""
    async with open_api(settings) as served:
        transport = httpx.ASGITransport(served.app)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://test") as http,
            asyncio.timeout(10),
        ):
            while (await http.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.01)
            body = {"lock_id": "three", "lines": [{"sku": "A", "quantity": 1}]}
            assert (await http.post("/v1/locks", json=body)).status_code == 201
            assert (await http.get("/v1/availability/A")).status_code == 200
            hot = httpx.ASGITransport(HotAsgi(served.app, served.hot))
            async with httpx.AsyncClient(transport=hot, base_url="http://test") as page:
                assert (await page.get("/v1/availability/A")).status_code == 200
                counts = served.hot.pages.cache.counts
                before = counts.hits, counts.misses
                assert (await page.get("/v1/availability/A")).status_code == 200
                assert (counts.hits, counts.misses) == (
                    before[0] + 1,
                    before[1],
                )  # it may track what it reads
            assert (await http.get("/v1/locks/three")).json()["status"] == "held"
            assert (await http.get("/v1/locks/four")).status_code == 404  # asks the ledger too


async def every_command(api: Stores) -> None:
    hot = api.hot
    await hot.execute(Opening([OpeningRow("A", "north", 50, 2)]))
    line = (Line("A", 2),)
    assert (await hot.execute(Lock("one", line))).outcome is Outcome.LOCKED
    assert (await hot.execute(Extend("one", "k1", 60_000))).outcome is Outcome.EXTENDED
    assert (await hot.execute(Replace("one", "k2", (Line("A", 3),)))).outcome is Outcome.REPLACED
    assert (await hot.execute(Confirm("one"))).outcome is Outcome.CONFIRMED
    assert (await hot.execute(Deduct("one", "s1", (Line("A", 1),)))).outcome is Outcome.DEDUCTED
    assert (await hot.execute(Unlock("one"))).outcome is Outcome.UNLOCKED
    assert (await hot.execute(Lock("two", line, ttl_ms=1))).outcome is Outcome.LOCKED
    async with asyncio.timeout(10):
        while not await hot.read_due(10):
            pass
    assert (await hot.execute(Expire("two"))).outcome is Outcome.EXPIRED
    damaged = (Booking("A", Place.CUSTOMER, Place.DAMAGED, 1),)
    assert (await hot.execute(Return("r1", "north", damaged))).outcome is Outcome.RETURNED
    lost = (Booking("A", Place.AVAILABLE, Place.ADJUSTMENT, 1, "lost"),)
    assert (await hot.execute(Adjust("a1", "north", lost))).outcome is Outcome.ADJUSTED
    assert (await hot.read_lock("one")).lock is not None
    _, (stock,) = await hot.read_stock(["A"])
    assert stock is not None


@pytest.mark.parametrize(
    "command",
    ["FUNCTION LOAD x", "FUNCTION FLUSH", "CONFIG GET appendonly", "CONFIG SET save x", "FLUSHALL", "KEYS *",
     "DEL {s0}:meta", "SET {s1}:x 1", "SET mine 1", "EVAL x 0", "ACL LIST", "SHUTDOWN", "MONITOR"],
)  # fmt: skip
def test_what_the_api_may_not_do(command: str, deployed: Deployment) -> None:
    client = deployed.redis("api")
    with client, pytest.raises(NoPermissionError):
        client.execute_command(*command.split())


@pytest.mark.parametrize(
    "command",
    ["FUNCTION FLUSH", "CONFIG SET save x", "FLUSHALL", "SET mine 1", "EVAL x 0", "ACL LIST", "SHUTDOWN"],
)
def test_what_the_worker_may_not_do(command: str, deployed: Deployment) -> None:
    client = deployed.redis("worker")
    with client, pytest.raises(NoPermissionError):
        client.execute_command(*command.split())
