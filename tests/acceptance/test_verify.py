"""`verify` finds each planted difference, and names the SKU, the place and both figures."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import pytest

from tests.acceptance.service import Service, sellable
from tests.servers import until

Plant = Callable[[Service, str], AbstractContextManager[None]]


@contextmanager
def a_count_in_redis(service: Service, sku: str) -> Iterator[None]:
    with service.redis() as client:
        client.hincrby(f"{{s0}}:stock:{sku}", "north:a", 5)
        yield
        client.hincrby(f"{{s0}}:stock:{sku}", "north:a", -5)


@contextmanager
def a_sku_gone_from_redis(service: Service, sku: str) -> Iterator[None]:
    with service.redis() as client:
        kept = client.hgetall(f"{{s0}}:stock:{sku}")
        client.delete(f"{{s0}}:stock:{sku}")
        yield
        client.hset(f"{{s0}}:stock:{sku}", mapping=kept)


@contextmanager
def a_row_of_the_projection(service: Service, sku: str) -> Iterator[None]:
    service.sql("UPDATE stock SET locked = locked + 2 WHERE sku = $1 AND warehouse = 'north'", sku)
    yield
    service.sql("UPDATE stock SET locked = locked - 2 WHERE sku = $1 AND warehouse = 'north'", sku)


@contextmanager
def a_missing_move(service: Service, sku: str) -> Iterator[None]:
    service.sql("CREATE TABLE kept_move AS TABLE move")
    service.sql("DELETE FROM move WHERE sku = $1 AND source = 'available'", sku)
    yield
    service.sql("INSERT INTO move SELECT * FROM kept_move WHERE sku = $1 AND source = 'available'", sku)
    service.sql("DROP TABLE kept_move")


# Of each SKU 20 lie in north, of which 3 are locked.
PLANTS: dict[Plant, list[str]] = {
    a_count_in_redis: ["SKU {sku} north available: hot store 22, projection 17"],
    a_sku_gone_from_redis: ["SKU {sku} version: hot store none, projection 2"],
    a_row_of_the_projection: [
        "SKU {sku} north locked: projection 5, sum of moves 3",
        "SKU {sku} north locked: projection 5, open locks and transfers 3",
        "SKU {sku} north locked: hot store 3, projection 5",
    ],
    a_missing_move: [
        "SKU {sku} north available: projection 17, sum of moves 20",
        "SKU {sku} north locked: projection 3, sum of moves 0",
        "SKU {sku} version: projection 2, moves 1 up to version 1",
    ],
}


def test_each_planted_difference_is_named(service: Service) -> None:
    skus = {plant: plant.__name__ for plant in PLANTS}
    service.open_stock(*((sku, "north", 20) for sku in skus.values()))
    for sku in skus.values():
        assert service.lock(f"{sku}-order", (sku, 3)).status_code == 201
    until(service.persisted)
    with ExitStack() as planted:
        for plant in PLANTS:
            planted.enter_context(plant(service, skus[plant]))
        text, listed = service.sellable("verify"), service.sellable("verify", "--json")
    assert (text.returncode, listed.returncode) == (1, 1), text.stderr + listed.stderr
    *lines, last = text.stdout.splitlines()
    assert sorted(lines) == sorted(
        line.format(sku=skus[plant]) for plant, named in PLANTS.items() for line in named
    )
    assert last == f"{len(lines)} differences"
    told: dict[str, Any] = json.loads(listed.stdout)
    as_lines = [
        "{what} {place}: {left} {left_figure}, {right} {right_figure}".format(**one) for one in told["items"]
    ]
    assert sorted(as_lines) == sorted(lines)
    assert told["differences"] == len(as_lines)
    service.verify()


@pytest.mark.tier
def test_what_cannot_be_compared_is_told_apart(service: Service) -> None:
    urls = {
        "SELLABLE_REDIS_URL": "redis://127.0.0.1:1/0",
        "SELLABLE_DATABASE_URL": service.where()["database"],
    }

    done = sellable("verify", env=urls)
    assert done.returncode == 4
    assert done.stderr.startswith("sellable: Redis cannot be reached: ")
    assert done.stderr.count("\n") == 1
