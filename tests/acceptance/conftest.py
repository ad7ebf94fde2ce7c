"""A running service for the tests that only use one, and fresh ones for those that break it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.service import Service
from tests.servers import scratch

WAREHOUSES = ("north", "south", "main")


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """One service for many tests: each has SKUs and orders of its own."""
    with scratch() as place:
        one = Service(place / "data", log=place / "up.log")
        try:
            one.ready()
            for code in WAREHOUSES:  # whichever test is the first to name one
                assert one.client.put(one.url(f"/v1/warehouses/{code}")).status_code == 200
            yield one
        finally:
            one.stop()


@pytest.fixture
def place() -> Iterator[Path]:
    with scratch() as directory:
        yield directory


@pytest.fixture
def up(place: Path) -> Iterator[Callable[..., Service]]:
    """Start services of one's own, on `place / "data"` unless told; they are stopped at the end."""
    started: list[Service] = []

    def start(*options: str, data: Path | None = None, **more: Any) -> Service:
        log = place / f"up-{len(started)}.log"
        started.append(Service(data or place / "data", *options, log=log, **more))
        return started[-1]

    yield start
    for one in started:
        one.stop()
