"""`python -m tests.histories.inbox_rate [--events 1000000]`: how fast warehouse events go through the inbox.

Starts a `sellable up` of its own, measures locks over HTTP for a few seconds, then pushes the events in calls of
10,000 (NDJSON, every hundredth sent again), and prints events/s beside locks/s, and what the processes hold of memory
meanwhile: at a tenth of the way and at its end. At the end nothing may differ between the stores.
"""

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.acceptance.orders import Opening
from tests.acceptance.service import Service
from tests.histories.client import Client

CALL = 10_000
SKUS = 1_000
CLIENTS = 64
LOCK_SECONDS = 5.0
ROLES = ("api", "worker", "redis")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--calls", type=int, default=2, help="calls on their way at once")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sellable-inbox-") as place:
        service = Service(Path(place) / "data", log=Path(place) / "log")
        try:
            return measure(service.ready(), given.events, given.calls)
        finally:
            service.stop()


def measure(service: Service, events: int, calls_at_once: int) -> int:
    """Print the figures; return 1 if an event was not applied once, or the stores differ."""
    service.open_stock(*(Opening(f"S{n}", "north", 1_000_000) for n in range(SKUS)))
    locks = asyncio.run(locks_a_second(service.url("")))
    memory = [resident_mib(service)]
    statuses: Counter[str] = Counter()
    began, done = time.monotonic(), 0
    with ThreadPoolExecutor(calls_at_once) as pool:
        for found in in_turns(pool, service, bodies(events), calls_at_once):
            statuses.update(found)
            done += sum(found.values())
            if len(memory) == 1 and done >= events / 10:
                memory.append(resident_mib(service))
    seconds = time.monotonic() - began
    memory.append(resident_mib(service))
    verified = service.verify()
    print(
        f"{done} events in {seconds:.1f} s: {done / seconds:,.0f} a second; locks before: {locks:,.0f} a second"
    )
    print(", ".join(f"{count} {status}" for status, count in sorted(statuses.items())))
    for role in ROLES:
        told = " -> ".join(f"{at[role]:.0f}" for at in memory)
        print(f"{role}: {told} MiB resident (before, after a tenth, at the end)")
    print(verified.strip().splitlines()[-1])
    once = statuses == Counter({"applied": events, "duplicate": done - events})
    return 0 if once and "no difference" in verified else 1


def in_turns(
    pool: ThreadPoolExecutor, service: Service, bodies: Iterator[bytes], calls_at_once: int
) -> Iterator[Counter[str]]:
    """Send calls, so many at once, and yield what each came to."""
    sent: deque[Future[Counter[str]]] = deque()
    for body in bodies:
        sent.append(pool.submit(push, service, body))
        if len(sent) == calls_at_once:
            yield sent.popleft().result()
    yield from (one.result() for one in sent)


async def locks_a_second(url: str) -> float:
    """Locks of one line, each by a client that waits for its answer."""
    where, numbers, until = urlsplit(url), itertools.count(), time.monotonic() + LOCK_SECONDS
    locked = 0

    async def shopper() -> None:
        nonlocal locked
        client = Client(where.hostname or "", where.port or 0)
        while time.monotonic() < until:
            number = next(numbers)
            line = {"sku": f"S{number % SKUS}", "quantity": 1}
            reply = await client.post("/v1/locks", {"lock_id": f"rate-{number}", "lines": [line]})
            locked += reply is not None and reply.status == 201
        await client.close()

    await asyncio.gather(*(shopper() for _ in range(CLIENTS)))
    return locked / LOCK_SECONDS


def bodies(events: int) -> Iterator[bytes]:
    """Calls of 10,000 events; every hundredth event comes again in the same call."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for first in range(0, events, CALL):
        lines = []
        for number in range(first, min(events, first + CALL)):
            told = {
                "event_id": f"e{number}",
                "occurred_at": now,
                "warehouse": "north",
                "sku": f"S{number % SKUS}",
            }
            if number % 2:
                told |= {"type": "received", "quantity": 1 + number % 9, "receipt_id": f"r{number}"}
            else:
                told |= {"type": "adjusted", "quantity": -1, "reason": "broken"}
            line = json.dumps(told)
            lines += [line, line] if number % 100 == 0 else [line]
        for part in range(0, len(lines), CALL):
            yield "\n".join(lines[part : part + CALL]).encode()


def push(service: Service, body: bytes) -> Counter[str]:
    """Send one call; return how many events came to what."""
    answer = httpx.post(
        service.url("/v1/warehouse-events?source=rate"),
        content=body,
        headers={"Content-Type": "application/x-ndjson"},
        timeout=120,
    )
    assert answer.status_code == 200, answer.text
    return Counter(one["status"] for one in answer.json()["results"])


def resident_mib(service: Service) -> dict[str, float]:
    """What each process holds of memory."""
    pages = {role: Path(f"/proc/{service.pid(role)}/statm").read_text().split()[1] for role in ROLES}
    return {role: int(count) * 4096 / 2**20 for role, count in pages.items()}


if __name__ == "__main__":
    sys.exit(main())
