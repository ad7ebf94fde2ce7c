"""What all users of the shop share: the catalogue, the judge, and how a request is made and judged."""

import itertools
import os
import uuid
from collections import deque
from typing import Any

from locust import FastHttpUser

from loadtests import catalogue
from loadtests.judge import Judge

CATALOGUE = catalogue.read()
JUDGE = Judge(CATALOGUE.units)
PAID_MAX = 10_000
PAID: deque[str] = deque(maxlen=PAID_MAX)
"""Orders that are paid and wait to be shipped."""

_RUN = uuid.uuid4().hex[:8]
_numbers = itertools.count(1)


def new_order() -> str:
    """An id that no run had before."""
    return f"load-{_RUN}-{next(_numbers)}"


class Visitor(FastHttpUser):
    """Somebody at the shop; `SELLABLE_API_URL` says where it is, `SELLABLE_API_KEY` opens it."""

    abstract = True
    host = os.environ.get("SELLABLE_API_URL", "http://127.0.0.1:8080")
    network_timeout = connection_timeout = 10.0
    concurrency = 1

    def on_start(self) -> None:
        """Prepare what every request carries."""
        key = os.environ.get("SELLABLE_API_KEY")
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def ask(self, method: str, path: str, *expected: int, name: str, **request: Any) -> Any:
        """Make a request and return its response; an answer that isn't `expected` is a failure."""
        headers = {**self.headers, **request.pop("headers", {})}
        with self.client.request(
            method, path, name=name, headers=headers, catch_response=True, **request
        ) as response:
            if response.status_code in expected:
                response.success()
            else:
                response.failure(f"{response.status_code}: {(response.text or '')[:200]}")
            return response

    def lock(self, lines: dict[str, int], *, name: str, **more: Any) -> str | None:
        """Lock units of some SKUs; return the order's id, or None where they are sold out."""
        order = new_order()
        wanted = [{"sku": sku, "quantity": quantity} for sku, quantity in lines.items()]
        body = {"lock_id": order, "lines": wanted, **more}
        response = self.ask("POST", "/v1/locks", 201, 409, name=name, json=body)
        if response.status_code == 201:
            JUDGE.promise(lines)
            return order
        if response.status_code == 409 and (fault := JUDGE.refusal_fault(lines, response.json())):
            JUDGE.wrong(fault)
        return None
