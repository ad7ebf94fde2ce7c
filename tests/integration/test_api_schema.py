"""The OpenAPI page holds: schemathesis reads it, asks what it allows and what it does not, and compares."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import APIOperation, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.integration.api_client import world_on
from tests.integration.conftest import opened

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    unsupported_method,
]


@contextmanager
def served(valkey_url: str) -> Iterator[str]:
    """The application behind uvicorn, in a loop of its own; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ready = threading.Event()
        servers: list[uvicorn.Server] = []

        async def serve() -> None:
            async with opened(valkey_url) as client, world_on(client) as world:
                for i in range(3):
                    await world.lock(f"order-{i}", ("A", 1))
                server = uvicorn.Server(uvicorn.Config(world.app, log_level="error", lifespan="off"))
                servers.append(server)
                ready.set()
                await server.serve(sockets=[listener])

        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        assert ready.wait(30)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        servers[0].should_exit = True
        thread.join(30)


@pytest.fixture(scope="module")
def url(valkey_url: str) -> Iterator[str]:
    with served(valkey_url) as url:
        yield url


@pytest.mark.parametrize(
    "mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value
)
def test_the_page_holds(url: str, mode: GenerationMode) -> None:
    """Driven by hand: schemathesis' own pytest plugin lags behind pytest."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    seen = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        seen += 1
        if mode is GenerationMode.POSITIVE or operation.path.startswith("/v1/"):  # others take nothing
            _ask(operation, mode)
    assert seen == 17


def _ask(operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode) -> None:
    @settings(
        max_examples=25,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    ask()


def test_over_a_real_server(url: str) -> None:
    """What only a server shows: raw paths, HEAD without a body, a refusal arrives although its body was not read."""
    with httpx.Client(base_url=url) as client:
        assert client.get("/v1/availability/A%2F12").json()["sku"] == "A/12"
        head = client.head("/v1/availability/A")
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["etag"] == client.get("/v1/availability/A").headers["etag"]
        refused = client.post("/v1/locks", content=b" " * 1_100_000)
        assert (refused.status_code, refused.json()["code"]) == (413, "payload_too_large")
        assert client.get("/readyz").status_code == 200
