"""The whole life of a lock in the deployment that we ship: expiry, and a restart of each part, the worker stopped."""

import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.deployment.services import Deployment, Programs, bundled, debian, deployment
from tests.servers import until

LINES = [{"sku": "A", "quantity": 1}]
LOCKS = 4


def lock(deployed: Deployment, lock_id: str, **more: object) -> str:
    """Make a lock, and return the level at which it was acknowledged."""
    answer = deployed.http.post("/v1/locks", json={"lock_id": lock_id, "lines": LINES, **more})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["durability"])


def status(deployed: Deployment, lock_id: str) -> str:
    return str(deployed.http.get(f"/v1/locks/{lock_id}").json().get("status"))


def sellable(deployed: Deployment) -> int:
    """What a page shows that is not marked stale, as one is while Redis was silent for a moment."""

    def page() -> dict[str, Any] | None:
        found: dict[str, Any] = deployed.http.get("/v1/availability/A").json()
        return None if "stale" in found else found

    return int((until(page) or {})["sellable"])


def is_as_it_should_be(deployed: Deployment) -> bool:
    answer = deployed.http.get("/readyz")
    return answer.status_code == 200 and "notes" not in answer.json()


def nothing_was_denied(deployed: Deployment) -> bool:
    """Whether no process asked Redis for what its user may not: Redis counts it, since its own start."""
    with deployed.redis("worker") as client:
        denied = [
            name
            for name, count in client.info("stats").items()
            if name.startswith("acl_access_denied") and count
        ]
        return not denied and "errorstat_NOPERM" not in client.info("errorstats")


def import_stock(deployed: Deployment) -> None:
    stock = deployed.place / "stock.csv"
    stock.write_text("sku,warehouse,quantity\nA,north,100\n")
    done = deployed.sellable("import-stock", str(stock))
    assert done.returncode == 0, done.stderr


def a_lock_expires(deployed: Deployment) -> None:
    assert lock(deployed, "short", ttl_seconds=2) == "disk"
    assert sellable(deployed) == 99
    until(lambda: status(deployed, "short") == "expired", limit_seconds=4)
    assert sellable(deployed) == 100


def pages_come_from_the_near_cache(deployed: Deployment) -> None:
    for _ in range(3):
        sellable(deployed)
    hits = re.search(
        r'^sellable_near_cache_total\{event="hits"\} (\S+)', deployed.http.get("/metrics").text, re.MULTILINE
    )
    assert hits
    assert float(hits[1]) >= 2


def locks_survive(deployed: Deployment, name: str, *restarts: Callable[[], None]) -> None:
    """Acknowledged with the worker stopped, they are there after restarts of the stores, once the worker is back."""
    deployed.stop("worker")
    locks = [f"{name}-{number}" for number in range(LOCKS)]
    left = sellable(deployed) - LOCKS
    for one in locks:
        lock(deployed, one)
    assert nothing_was_denied(deployed)
    for restart in restarts:
        restart()
    deployed.start("worker")
    until(lambda: is_as_it_should_be(deployed), limit_seconds=30)
    assert [status(deployed, one) for one in locks] == ["held"] * LOCKS
    assert sellable(deployed) == left


def the_books_agree(deployed: Deployment) -> None:
    verify, lost = deployed.sellable("verify"), deployed.sellable("lost", "list")
    assert verify.returncode == 0, verify.stdout
    assert lost.stdout == "0 events lost, 0 counts set right\n"


def nothing_is_wrong_in_a_log(deployed: Deployment) -> None:
    assert nothing_was_denied(deployed)
    for name in ("redis", "migrate", "worker", "api"):
        assert "NOPERM" not in deployed.log(name)
    assert "CRITICAL" not in deployed.log("redis")
    errors = [
        event for name in ("worker", "api") for event in deployed.events(name) if event["level"] == "error"
    ]
    assert [
        event for event in errors if event["event"] != "worker.stands_still"
    ] == []  # it was stopped at times


def restarts(deployed: Deployment) -> dict[str, Callable[[], None]]:
    def again(*names: str, number: signal.Signals | None = None) -> None:
        for name in names:
            deployed.stop(name, number)
        for name in names:
            deployed.start(name)

    return {
        "clean": lambda: again("redis"),
        "killed": lambda: again("redis", number=signal.SIGKILL),
        "both": lambda: again("redis", "postgres"),
        "both-killed": lambda: again("redis", "postgres", number=signal.SIGKILL),
        "api": lambda: again("api"),
    }


def test_the_life_of_a_lock() -> None:
    """On the bundled servers, as short as it can be: one worker's life more, and all restarts before it."""
    with living(bundled()) as deployed:
        again = restarts(deployed)
        locks_survive(deployed, "all", again["clean"], again["killed"], again["both"])
        nothing_is_wrong_in_a_log(deployed)


@pytest.mark.tier
def test_the_life_of_a_lock_with_each_restart_on_debian_s_servers() -> None:
    found = debian()
    if found is None:
        pytest.skip("Debian's redis-server and postgresql are not installed")
    with living(found) as deployed:
        for name, restart in restarts(deployed).items():
            locks_survive(deployed, name, restart)
        the_books_agree(deployed)
        nothing_is_wrong_in_a_log(deployed)
        nothing_is_lost_in_silence(deployed)


def nothing_is_lost_in_silence(deployed: Deployment) -> None:
    """Redis' data and every process that could name what was in it are gone; how much it was is known."""
    deployed.stop("worker")
    for number in range(LOCKS):
        lock(deployed, f"gone-{number}")
    query = "SELECT n - (SELECT n FROM position) FROM seen"
    until(lambda: deployed.ledger(query) == [LOCKS])
    for name in ("api", "redis"):
        deployed.kill(name)
    shutil.rmtree(deployed.place / "redis" / "appendonlydir")
    for name in ("redis", "worker", "api"):
        deployed.start(name)
    until(lambda: "recovery.events_missing" in deployed.log("worker"))
    listed = deployed.sellable("lost", "list").stdout.splitlines()
    assert f"{LOCKS} events of which nothing else is known" in listed[0]
    assert listed[-1] == f"{LOCKS} events lost, 0 counts set right"
    until(lambda: f"sellable_lost_events {LOCKS}.0" in deployed.http.get("/metrics").text)


@pytest.mark.tier
def test_redis_7_0_with_users_that_would_lose_everything_is_refused() -> None:
    """As the users were once: `default` off, without rights. Each process says so in one sentence, and ends with 1."""
    found = debian()
    if found is None:
        pytest.skip("Debian's redis-server and postgresql are not installed")
    with deployment(found) as deployed:
        shipped = deployed.users.read_text()
        deployed.users = deployed.place / "of-before.acl"
        deployed.users.write_text(
            re.sub(r"^user default .*$", "user default off", shipped, flags=re.MULTILINE)
        )
        deployed.start("redis")
        with deployed.redis("worker") as client:
            if not str(client.info("server")["redis_version"]).startswith("7.0."):
                pytest.skip("only Redis 7.0 reads its file as a user")
        for command, name in (("migrate", "migrate"), ("worker", "worker"), ("serve", "api")):
            done = deployed.sellable(command, name=name)
            assert done.returncode == 1, done.stderr
            assert "would forget everything at its next restart" in done.stderr.splitlines()[-1]


@contextmanager
def living(programs: Programs) -> Iterator[Deployment]:
    """A deployment that sells, and in which a lock has expired."""
    with deployment(programs) as deployed:
        deployed.up()
        import_stock(deployed)
        until(lambda: is_as_it_should_be(deployed))
        a_lock_expires(deployed)
        pages_come_from_the_near_cache(deployed)
        yield deployed
