"""`python -m bench.worst_key [part of a case's name …]`: product pages beside one key that does the worst it may.

A whole `sellable up` with keys. One client reads pages at a steady rate and times them; in turn it does so alone, and
beside another client whose key sends one kind of costly request at 20 a second. Exit 1 if the pages' p99 beside any of
them is over `--most` ms. On a machine that others use too, compare it with the p99 alone, which is of the same minute.
"""

import argparse
import csv
import io
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from app.domain.times import time_text
from app.domain.words import LINES_MAX
from bench.client import Job, Measured
from bench.load import ID_MARK, Load, fresh_prefix, split_at_id

ROOT = Path(__file__).parent.parent
START_SECONDS_MAX = 90.0
PAGES_PER_SECOND = 200.0
WORST_PER_SECOND = 20.0
PAGE_CONNECTIONS = 8
SKUS = [f"SKU-{number:05d}" for number in range(LINES_MAX)]
MOVES = 1_000
"""Of the first SKU: as many as one answer lists at most."""
QUIET_SHARE = 0.15
"""Of a core."""
SNAPSHOT_ROWS = 40_000
SECRETS = {"pages": "pages-0123456789abcdef", "worst": "worst-0123456789abcdef"}
SCOPES = {"pages": "read", "worst": "read+checkout+warehouse"}

NO_ANSWER = {"p50": math.inf, "p99": math.inf}

Requests = list[tuple[bytes, bytes]]


class Shop:
    """A service that runs, with stock, locks, a long history and a reconciliation."""

    def __init__(self, url: str, pid: int) -> None:
        self._stat = Path(f"/proc/{pid}/stat")
        self.port = int(url.rpartition(":")[2])
        self.http = httpx.Client(base_url=url, headers=_headers("worst"), timeout=60)

    def post(self, path: str, body: Any, *, status: int = 201) -> dict[str, Any]:
        """Send something that must succeed."""
        answer = self.http.post(path, json=body)
        if answer.status_code != status:
            raise RuntimeError(f"{path}: {answer.status_code} {answer.text[:300]}")
        return dict(answer.json())

    def cpu_seconds(self) -> float:
        """The CPU time that the API's process took so far."""
        fields = self._stat.read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def fill(self) -> None:
        """Make what the costly questions are about."""
        for number in range(MOVES):
            line = {"sku": SKUS[0], "quantity": 1, "reason": "found while counting"}
            self.post(
                "/v1/adjustments", {"adjustment_id": f"a{number}", "warehouse": "north", "lines": [line]}
            )
            self.post("/v1/locks", {"lock_id": f"l{number}", "lines": [{"sku": SKUS[1], "quantity": 1}]})
        counts = [{"sku": sku, "on_hand": 7} for sku in SKUS[:1_000]]
        snapshot = {"warehouse": "north", "as_of": now(), "counts": counts}
        begun = self.post("/v1/reconciliations", snapshot, status=202)
        self.reconciliation = f"/v1/reconciliations/{begun['reconciliation_id']}"
        until(lambda: self.http.get(self.reconciliation).json().get("status") == "done")


def _headers(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {SECRETS[name]}"}


def now() -> str:
    """The time, as requests have it."""
    return time_text(time.time_ns() // 1_000_000) or ""


def until(is_so: Callable[[], object]) -> None:
    """Wait for something that must come."""
    end = time.monotonic() + START_SECONDS_MAX
    while not is_so():
        if time.monotonic() > end:
            raise TimeoutError("it did not come")
        time.sleep(0.2)


@contextmanager
def running(place: Path) -> Iterator[Shop]:
    """Start the service, and stop it in the end."""
    stock = place / "stock.csv"
    rows = [[sku, warehouse, 900_000_000] for sku in SKUS for warehouse in ("north", "south")]
    stock.write_text(_csv([["sku", "warehouse", "quantity"], *rows]))
    keys = ",".join(f"{name}:{SECRETS[name]}:{SCOPES[name]}" for name in SECRETS)
    env = os.environ | {"SELLABLE_API_KEYS": keys}
    data, command = str(place / "data"), [sys.executable, "-m", "app"]
    with (place / "up.log").open("wb") as log:
        up = [*command, "up", "--no-demo", "--port", "0", "--data-dir", data]
        child = subprocess.Popen(up, cwd=ROOT, env=env, stdout=log, stderr=log)
        try:
            until(lambda: child.poll() is None and _is_ready(place / "data"))
            subprocess.run(
                [*command, "import-stock", str(stock), "--data-dir", data], cwd=ROOT, env=env, check=True
            )
            yield Shop(_url(place / "data"), _run(place / "data")["pids"]["api"][0])
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait()


def _run(data: Path) -> dict[str, Any]:
    return dict(json.loads((data / "run.json").read_text()))


def _url(data: Path) -> str:
    return str(_run(data)["api"])


def _is_ready(data: Path) -> bool:
    try:
        return httpx.get(f"{_url(data)}/readyz").status_code == 200
    except (OSError, httpx.TransportError):
        return False


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


# What a key may do at worst


def get(target: str, *, more: str = "") -> Requests:
    """A GET of that target."""
    head = (
        f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {SECRETS['worst']}\r\n{more}\r\n"
    )
    return [(head.encode(), b"")]


def send(
    path: str, body: bytes | str | object, *, kind: str = "application/json", method: str = "POST"
) -> Requests:
    """A request with a body; `ID_MARK` in it becomes another id each time."""
    content = (
        body
        if isinstance(body, bytes)
        else body.encode()
        if isinstance(body, str)
        else json.dumps(body).encode()
    )
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {SECRETS['worst']}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    return [split_at_id(head.encode() + content)]


def _lock(**line: object) -> Requests:
    return send(
        "/v1/locks", {"lock_id": ID_MARK, "lines": [{"sku": sku, "quantity": 1, **line} for sku in SKUS]}
    )


def _events(count: int) -> Requests:
    about = {"type": "received", "occurred_at": now(), "warehouse": "north", "quantity": 1}
    events = [{"event_id": f"{ID_MARK}-{i}", "sku": SKUS[i % LINES_MAX], **about} for i in range(count)]
    # An id stands at one place only: it is that of the source.
    text = json.dumps({"source": "wms", "events": events}).replace(f"{ID_MARK}-", "e-")
    return send("/v1/warehouse-events", text.replace('"wms"', f'"{ID_MARK}"'))


def _booked(path: str, name: str, lines: list[dict[str, object]], **more: object) -> Requests:
    return send(path, {name: ID_MARK, "warehouse": "north", **more, "lines": lines})


def cases(shop: Shop) -> dict[str, Callable[[], Requests]]:
    """What is sent, by name; made when it is its turn."""
    snapshot = "sku,on_hand\n" + "".join(f"SKU-{i:05d},{i}\n" for i in range(SNAPSHOT_ROWS))
    query = f"/v1/reconciliations?warehouse=north&as_of={now()}"
    first = f"/v1/stock/{SKUS[0]}"
    return {
        "80,000 unknown fields": lambda: send(
            "/v1/locks", "{" + ",".join(f'"x{i}":1' for i in range(80_000)) + "}"
        ),
        "14,000 unknown fields in lines": lambda: send(
            "/v1/locks", {"lock_id": "x", "lines": [{f"x{i}": 1 for i in range(7)} for _ in range(LINES_MAX)]}
        ),
        "2,000 wrong lines": lambda: _lock(quantity=0),
        "a list of a million": lambda: send("/v1/locks", '{"lines":[' + "[],0," * 200_000 + "0]}"),
        "deep JSON": lambda: send("/v1/locks", "[" * 1_000_000),
        "long numbers": lambda: send("/v1/locks", '{"lock_id":' + "9" * 1_000_000 + "}"),
        "one long text": lambda: send("/v1/locks", '{"lock_id":"' + "\\ud83d\\ude00" * 80_000 + '"}'),
        "a lock of 2,000 lines": lambda: _lock(warehouse="north"),
        "a lock of 2,000 lines, sourced": _lock,
        "a lock of 2,000 lines, refused": lambda: _lock(quantity=500_000_000),
        "unlock 1,000": lambda: send("/v1/locks/unlock", {"lock_ids": [f"none{i}" for i in range(1_000)]}),
        "1,000 pages at once": lambda: send("/v1/availability", {"skus": SKUS[:1_000]}),
        "200 pages in a query": lambda: get(
            "/v1/availability?" + "&".join(f"sku={sku}" for sku in SKUS[:200])
        ),
        "1,000 parameters": lambda: get("/v1/availability?" + "&".join(f"a{i}=1" for i in range(1_000))),
        "a head of 60 KB": lambda: get(
            "/v1/locks?limit=1", more="".join(f"x{i}: {'y' * 600}\r\n" for i in range(95))
        ),
        "history": lambda: get(f"{first}/history?limit=1000"),
        "explain": lambda: get(f"{first}/explain?limit=1000"),
        "stock as of": lambda: get(f"{first}?as_of={now()}"),
        "locks listed": lambda: get("/v1/locks?limit=1000"),
        "locks listed by a SKU of none": lambda: get(f"/v1/locks?limit=1000&sku={SKUS[5]}"),
        "warehouses listed": lambda: get("/v1/warehouses?limit=1000"),
        "a reconciliation read": lambda: get(f"{shop.reconciliation}?limit=1000"),
        "a report": lambda: get(f"{shop.reconciliation}/report"),
        "a report as a page": lambda: get(f"{shop.reconciliation}/report.html"),
        "a snapshot of 40,000 rows": lambda: send(query, snapshot, kind="text/csv"),
        "a snapshot that is JSON": lambda: send(
            "/v1/reconciliations",
            {
                "warehouse": "north",
                "as_of": now(),
                "counts": [{"sku": f"N{i}", "on_hand": 1} for i in range(40_000)],
            },
        ),
        "10,000 events": lambda: _events(10_000),
        "an adjustment of 2,000": lambda: _booked(
            "/v1/adjustments",
            "adjustment_id",
            [{"sku": sku, "quantity": 1, "reason": "r" * 100} for sku in SKUS],
        ),
        "a stock-take of 2,000": lambda: _booked(
            "/v1/stock-takes", "stock_take_id", [{"sku": sku, "on_hand": 9} for sku in SKUS], counted_at=now()
        ),
        "a return of 2,000": lambda: _booked(
            "/v1/returns", "return_id", [{"sku": sku, "quantity": 1, "condition": "sellable"} for sku in SKUS]
        ),
        "a purchase order of 2,000": lambda: _booked(
            "/v1/purchase-orders", "purchase_order_id", [{"sku": sku, "quantity": 1} for sku in SKUS]
        ),
        "expected": lambda: get("/v1/expected?limit=1000"),
        "purchase orders listed": lambda: get("/v1/purchase-orders?limit=1000"),
        "the OpenAPI page": lambda: get("/openapi.json"),
        "metrics": lambda: get("/metrics"),
    }


# Measuring


def pages(port: int, seconds: float) -> Measured:
    """Read pages at the steady rate."""
    more = f"Authorization: Bearer {SECRETS['pages']}\r\n"
    targets = [f"GET /v1/availability/{sku} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}\r\n" for sku in SKUS[:100]]
    requests = [(text.encode(), b"") for text in targets]
    return _timed(port, requests, PAGES_PER_SECOND, PAGE_CONNECTIONS, seconds)


def _timed(port: int, requests: Requests, rate: float, connections: int, seconds: float) -> Measured:
    job = Job(
        port=port,
        protocol="http",
        requests=requests,
        connections=connections,
        seconds=seconds,
        rate=rate,
        id_prefix=fresh_prefix() if requests[0][1] else "",
    )
    return Load(tuple(os.sched_getaffinity(0))).run(job)


def settle(shop: Shop) -> None:
    """Wait until nothing is done any more of what the case before asked for."""
    while True:
        before = shop.cpu_seconds()
        time.sleep(1)
        if shop.cpu_seconds() - before < QUIET_SHARE:
            return


def beside(shop: Shop, requests: Requests, seconds: float) -> tuple[Measured, Measured, Measured]:
    """Return the pages' figures alone and beside such requests, and what became of these."""
    settle(shop)
    alone = pages(shop.port, seconds / 2)
    with ThreadPoolExecutor(max_workers=1) as pool:
        worst = pool.submit(_timed, shop.port, requests, WORST_PER_SECOND, int(WORST_PER_SECOND), seconds + 1)
        time.sleep(0.5)
        return alone, pages(shop.port, seconds), worst.result()


def main() -> int:
    """Measure the cases that are asked for, all of them if none is; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="parts of the names of cases")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each is measured")
    parser.add_argument("--most", type=float, default=20.0, help="ms")
    asked = parser.parse_args()
    over = []
    with tempfile.TemporaryDirectory(prefix="sb-") as place, running(Path(place)) as shop:
        shop.fill()
        print(f"{'ms, p50 and p99 of pages':36}{'alone':>16}{'beside it':>18}   its answers", flush=True)
        for name, make in cases(shop).items():
            if asked.names and not any(part in name for part in asked.names):
                continue
            alone, found, worst = beside(shop, make(), asked.seconds)
            figures = [measured.latency_ms or NO_ANSWER for measured in (alone, found)]
            told = "".join(f"{each['p50']:10.1f}{each['p99']:8.1f}" for each in figures)
            print(f"{name:36}{told}   {worst.answers} {found.others('200') or ''}", flush=True)
            if figures[1]["p99"] > asked.most:
                over.append(name)
    print(f"over {asked.most:g} ms: {', '.join(over) or 'none'}")
    return int(bool(over))


if __name__ == "__main__":
    sys.exit(main())
