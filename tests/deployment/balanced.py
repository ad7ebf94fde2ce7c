"""Clients behind a balancer that asks /readyz: each request goes to one ready process, once, and must not fail."""

import contextlib
import http.client
import itertools
import json
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tests.servers import until

ASK_SECONDS = 0.2
"""How often the balancer asks each process."""
TIMEOUT_SECONDS = 15
PAUSE_SECONDS = 0.02


class Balancer:
    """Knows which of some processes (host and port) are ready, by asking them again and again."""

    def __init__(self, backends: Sequence[tuple[str, int]]) -> None:
        self._ready: dict[tuple[str, int], bool] = dict.fromkeys(backends, False)
        self.went_out: list[str] = []
        """Which process stopped to be ready, and what it said."""
        self._out: set[tuple[str, int]] = set()
        self._turn = itertools.count()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._watch, args=(one,), daemon=True) for one in backends]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def ready(self) -> list[tuple[str, int]]:
        return [one for one, is_ready in self._ready.items() if is_ready and one not in self._out]

    def take_out(self, backend: tuple[str, int]) -> None:
        """Send nothing there any more, as an operator says who stops a process that does not say so itself."""
        self._out.add(backend)

    def put_back(self, backend: tuple[str, int]) -> None:
        """Send something there again, once it is ready."""
        self._out.discard(backend)

    def pick(self) -> tuple[str, int]:
        """The next ready process; with none it would be a failed request, so this waits and the caller counts it."""
        ready = self.ready()
        if not ready:
            raise ConnectionError("no process is ready")
        return ready[next(self._turn) % len(ready)]

    def _watch(self, backend: tuple[str, int]) -> None:
        while not self._stop.wait(ASK_SECONDS):
            why = self._why_not(backend)
            if why and self._ready[backend]:
                self.went_out.append(f"{backend[1]}: {why}")
            self._ready[backend] = not why

    @staticmethod
    def _why_not(backend: tuple[str, int]) -> str:
        connection = http.client.HTTPConnection(*backend, timeout=TIMEOUT_SECONDS)
        try:
            with contextlib.closing(connection):
                connection.request("GET", "/readyz")
                answer = connection.getresponse()
                return "" if answer.status == 200 else answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return f"{type(error).__name__}: {error}"


class Shop:
    """A client: it shows pages, and locks, confirms and ships, over connections that it keeps to each process."""

    def __init__(self, balancer: Balancer, name: str, token: str) -> None:
        self._balancer = balancer
        self._name = name
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connections: dict[tuple[str, int], http.client.HTTPConnection] = {}
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []

    def run(self, stop: threading.Event) -> None:
        for number in itertools.count():
            if stop.is_set():
                break
            self._buy(f"{self._name}-{number}")
            time.sleep(PAUSE_SECONDS)  # so that the processes under test get their share of the machine
        for connection in self._connections.values():
            connection.close()

    def _buy(self, lock_id: str) -> None:
        self._send("GET", "/v1/availability/A", 200)
        self._send("POST", "/v1/locks", 201, {"lock_id": lock_id, "lines": [{"sku": "A", "quantity": 1}]})
        self._send("POST", f"/v1/locks/{lock_id}/confirm", 200)
        self._send("GET", f"/v1/locks/{lock_id}", 200)
        self._send("POST", f"/v1/locks/{lock_id}/deduct", 200, {"shipment_id": f"of-{lock_id}"})

    def _send(self, method: str, path: str, wanted: int, body: Any = None) -> None:
        try:
            backend = self._balancer.pick()
            status, text = self._ask(backend, method, path, None if body is None else json.dumps(body))
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(f"{method} {path}: {type(error).__name__}: {error}")
            time.sleep(0.05)
            return
        self.answers[f"{method} {status}"] += 1
        if status != wanted:
            self.failures.append(f"{method} {path} from {backend[1]}: {status} {text[:300]}")

    def _ask(self, backend: tuple[str, int], method: str, path: str, body: str | None) -> tuple[int, str]:
        connection = self._connections.setdefault(
            backend, http.client.HTTPConnection(*backend, timeout=TIMEOUT_SECONDS)
        )
        if connection.sock is not None and _was_closed(connection.sock):
            connection.close()  # it connects again by itself
        try:
            connection.request(method, path, body, self._headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except BaseException:
            connection.close()
            raise


def _was_closed(idle: socket.socket) -> bool:
    """Whether the other end has closed a connection that is not in use, which a balancer sees at once."""
    return bool(select.select([idle], [], [], 0)[0])


@contextlib.contextmanager
def shops(balancer: Balancer, count: int, token: str) -> Iterator[list[Shop]]:
    """Shops that buy all the time."""
    stop = threading.Event()
    all_of_them = [Shop(balancer, f"shop{number}", token) for number in range(count)]
    threads = [threading.Thread(target=one.run, args=(stop,), daemon=True) for one in all_of_them]
    balancer.start()
    try:
        until(balancer.ready)
        for thread in threads:
            thread.start()
        yield all_of_them
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        balancer.stop()
