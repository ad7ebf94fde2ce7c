"""Two uploads that never end, of two keys: a third key's is served all the same."""

import contextlib
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from app.domain.times import time_text
from tests.acceptance.service import Service
from tests.servers import until

SECRETS = {name: f"{name}-0123456789abcdef" for name in ("first", "second", "third")}
COUNT = b'{"sku":"A","on_hand":1},'


def upload(url: httpx.URL, name: str, ends: threading.Event, said: dict[str, bytes]) -> None:
    """Send a count now and then, until the service answers or the test ends."""
    head = (
        f"POST /v1/reconciliations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRETS[name]}\r\n"
        "Content-Type: application/json\r\nContent-Length: 90000000\r\n\r\n"
        '{"warehouse":"north","as_of":"2025-01-01T00:00:00Z","counts":['
    )
    while not ends.is_set() and b" 408 " not in said.get(name, b""):  # the place may be taken for a moment
        with socket.create_connection((url.host, url.port), timeout=0.5) as client:
            client.sendall(head.encode())
            said[name] = b""
            while not ends.is_set() and not said[name]:
                client.sendall(COUNT)
                with contextlib.suppress(TimeoutError):
                    said[name] = client.recv(65_536)


@pytest.mark.tier
def test_uploads_that_trickle_give_way(tmp_path: Path) -> None:
    keys = ",".join(f"{name}:{secret}:warehouse+read" for name, secret in SECRETS.items())
    service = Service(tmp_path / "data", log=tmp_path / "up.log", env={"SELLABLE_API_KEYS": keys})
    said: dict[str, bytes] = {}
    ends = threading.Event()
    threads: list[threading.Thread] = []
    try:
        url = httpx.URL(service.ready().url(""))
        service.client.headers["Authorization"] = f"Bearer {SECRETS['third']}"
        service.open_stock(("A", "north", 5))
        threads += [
            threading.Thread(target=upload, args=(url, name, ends, said))
            for name in SECRETS
            if name != "third"
        ]
        for thread in threads:
            thread.start()
        counts = [{"sku": "A", "on_hand": 5}]
        snapshot = {"warehouse": "north", "as_of": time_text(time.time_ns() // 1_000_000), "counts": counts}
        until(lambda: service.post("/v1/reconciliations", {}).status_code == 503)
        until(lambda: service.post("/v1/reconciliations", snapshot).status_code == 202, limit_seconds=15)
        until(lambda: [b" 408 " in one.partition(b"\r\n")[0] for one in said.values()] == [True, True])
    finally:
        ends.set()
        for thread in threads:
            thread.join()
        service.stop()
