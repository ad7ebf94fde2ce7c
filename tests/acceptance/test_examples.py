"""The examples of the docs, run in their order: each answer is the one that is printed there."""

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import httpx

from tests.acceptance.service import ROOT, Service

VOLATILE = {"position", "expires_at"}
DOCUMENT = (ROOT / "docs" / "http-examples.md").read_text()


def examples() -> Iterator[tuple[str, Any]]:
    """Each command with the answer below it."""
    for block in re.findall(r"^```console\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL):
        for example in block.strip().split("\n\n"):
            command, _, answer = example.partition("\n")
            assert command.startswith("$ curl ")
            yield command.removeprefix("$ "), json.loads(answer)


def send(service: Service, command: str) -> httpx.Response:
    """What curl would send."""
    words = iter(shlex.split(command)[1:])
    method, url, headers, body = "GET", "", {}, None
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-X":
            method = next(words)
        elif word == "-d":
            method, body = "POST", next(words)
        else:
            url = word.removeprefix("localhost:8080")
    return service.client.request(method, service.url(url), headers=headers, content=body)


def steady(answer: Any) -> Any:
    """An answer without what differs from run to run."""
    if isinstance(answer, dict):
        return {
            name: steady(value) if name not in VOLATILE else bool(value) for name, value in answer.items()
        }
    return [steady(one) for one in answer] if isinstance(answer, list) else answer


def test_every_example(service: Service) -> None:
    service.open_stock(("MUG", "north", 20, 2), ("MUG", "south", 5))
    (opening,) = re.findall(r"^```json\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert service.get("/v1/stock/MUG").json() == json.loads(opening)
    ran = 0
    for command, printed in examples():
        answer = send(service, command)
        assert steady(answer.json()) == steady(printed), command
        ran += 1
    assert ran > 15
