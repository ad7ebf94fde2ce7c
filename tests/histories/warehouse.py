"""`python -m tests.histories.warehouse [--seconds 3600] [--kill-every 20] [--pause 0.5]`: a warehouse and a checkout.

Starts a `sellable up` of its own. Shoppers lock, confirm, ship and give back; a warehouse system tells of receipts,
shipments of their locks, returns, adjustments, transfers and counts, mixed up, some twice, some calls repeated; and one
process after another is killed. At the end each event must be in the ledger once, and nothing may differ.
"""

import argparse
import asyncio
import itertools
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from app.operations.inbox import DISPUTED
from tests.acceptance.orders import Opening
from tests.acceptance.service import ROLES, Service
from tests.histories.client import Client
from tests.histories.traffic import SKUS, WAREHOUSES, History, Shopper
from tests.servers import until

SHOPPERS = 8
COMMANDS = 10
CALL_EVENTS = 40
WAIT_SECONDS = 5
PAUSE_SECONDS = 0.01
TYPES = ("received", "shipped", "returned", "adjusted", "transfer", "counted")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument(
        "--kill-every", type=float, default=20.0, metavar="SECONDS", help="0: nobody is killed"
    )
    parser.add_argument(
        "--pause",
        type=float,
        default=PAUSE_SECONDS,
        metavar="SECONDS",
        help="between the calls of each client",
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sellable-floor-") as place:
        environment = {"SELLABLE_INBOX_WAIT_SECONDS": str(WAIT_SECONDS)}
        service = Service(Path(place) / "data", log=Path(place) / "log", env=environment)
        try:
            service.ready()
            outcome = asyncio.run(live(service, **vars(given)))
        finally:
            service.stop()
    print(f"seed {given.seed}: {outcome}")
    return 1 if outcome.problems else 0


@dataclass(slots=True)
class Outcome:
    """What was done, and what is wrong."""

    events: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    commands: int = 0
    kills: int = 0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items()))
        lines = [f"{self.events} events ({told}), {self.commands} commands of shoppers, {self.kills} kills"]
        return "\n".join([*lines, *self.problems[:20], f"{len(self.problems)} problems"])


class Floor:
    """A warehouse system: it makes up what happened, and tells it out of order, twice, and again after a failure."""

    def __init__(
        self, http: httpx.AsyncClient, rng: random.Random, locks: list[str], outcome: Outcome
    ) -> None:
        self._http = http
        self._rng = rng
        self._locks = locks
        self._outcome = outcome
        self._numbers = itertools.count()
        self._sequences: Counter[str] = Counter()
        self._late: list[dict[str, Any]] = []

    async def run(self, until: float, pause: float) -> None:
        while time.monotonic() < until:
            await self._tell(await self._happened())
            await asyncio.sleep(pause)
        await self._tell(self._late)

    async def _happened(self) -> list[dict[str, Any]]:
        """Some events, those kept back before among them, some of them twice, mixed up; some are kept back."""
        events = [event for _ in range(CALL_EVENTS) for event in await self._something()]
        events += self._late
        self._rng.shuffle(events)
        keep = self._rng.randrange(CALL_EVENTS // 4)
        self._late, events = events[:keep], events[keep:]
        return events + self._rng.sample(events, len(events) // 10)

    async def _something(self) -> list[dict[str, Any]]:
        rng, kind = self._rng, self._rng.choices(TYPES, (30, 30, 10, 20, 10, 1))[0]
        match kind:
            case "received":
                return [self._event(kind, damaged=rng.choice((0, 1)), receipt_id=f"r{next(self._numbers)}")]
            case "shipped" | "returned" if self._locks:
                named = {"lock_id": rng.choice(self._locks[-100:])}
                if kind == "shipped":
                    named["shipment_id"] = f"s{next(self._numbers)}"
                return [self._event(kind, **named)]
            case "transfer":
                return await self._transfer()
            case "counted":
                return [self._event(kind, on_hand=rng.randrange(300, 600), quantity=None)]
        return [self._event("adjusted", quantity=rng.choice((-2, -1, 1, 3)), reason="found")]

    async def _transfer(self) -> list[dict[str, Any]]:
        source, destination = self._rng.sample(WAREHOUSES, 2)
        transfer_id, sku, units = f"t{next(self._numbers)}", self._rng.choice(SKUS), self._rng.randint(1, 4)
        body = {"transfer_id": transfer_id, "from": source, "to": destination}
        answer = await self._post("/v1/transfers", body | {"lines": [{"sku": sku, "quantity": units}]})
        if answer.status_code == 409:
            return []
        assert answer.status_code in {200, 201}, answer.text
        named = {"transfer_id": transfer_id, "sku": sku, "quantity": units}
        left = self._event("transfer_shipped", warehouse=source, **named)
        return [
            left,
            self._event(
                "transfer_received", warehouse=destination, lost=self._rng.choice((0, 0, 1)), **named
            ),
        ]

    def _event(self, kind: str, **more: Any) -> dict[str, Any]:
        ago = timedelta(seconds=self._rng.uniform(0, 3))
        told = {
            "event_id": f"e{next(self._numbers)}",
            "type": kind,
            "occurred_at": (datetime.now(UTC) - ago)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "warehouse": self._rng.choice(WAREHOUSES),
            "sku": self._rng.choice(SKUS),
            "quantity": self._rng.randint(1, 5),
        } | more
        if self._rng.random() < 0.5:
            self._sequences[told["warehouse"]] += 1
            told["sequence"] = self._sequences[told["warehouse"]]
        self._outcome.events += 1
        return {name: value for name, value in told.items() if value is not None}

    async def _tell(self, events: Sequence[dict[str, Any]]) -> None:
        if not events:
            return
        answer = await self._post("/v1/warehouse-events", {"source": "floor", "events": list(events)})
        assert answer.status_code == 200, answer.text
        for event, one in zip(events, answer.json()["results"], strict=True):
            self._outcome.statuses[one["status"]] += 1
            if one["status"] in {"rejected", "quarantined"} and not _is_disputed(event, one):
                self._outcome.problems.append(f"{one} to {event}")

    async def _post(self, path: str, body: Any) -> httpx.Response:
        """Send it again and again until somebody answers."""
        while True:
            try:
                answer = await self._http.post(path, json=body)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 500:
                return answer
            await asyncio.sleep(0.1)


def _is_disputed(event: Mapping[str, Any], result: Mapping[str, Any]) -> bool:
    """Whether a shopper's route reported another shipment of the same lock: what exceeds it is listed for a person."""
    return event["type"] == "shipped" and result.get("detail") == DISPUTED


async def live(
    service: Service, *, seconds: float, kill_every: float, seed: int, pause: float = PAUSE_SECONDS
) -> Outcome:
    """Run the floor, the shoppers and the killer for some time, and say what was wrong."""
    outcome, shared, history = Outcome(), [], History()
    service.open_stock(*(Opening(sku, warehouse, 400) for sku in SKUS for warehouse in WAREHOUSES))
    end, where = time.monotonic() + seconds, urlsplit(service.url(""))

    async def shop(number: int) -> None:
        turns = itertools.count()
        while time.monotonic() < end:
            client = Client(where.hostname or "", where.port or 0)
            chance = seed * 1_000 + number + 100 * next(turns)
            await Shopper(client, history, chance, shared).run(COMMANDS)
            await asyncio.sleep(pause)

    async def kill() -> None:
        for role in itertools.cycle(ROLES):
            await asyncio.sleep(min(kill_every, max(0.0, end - time.monotonic())))
            if time.monotonic() >= end:
                return
            await asyncio.to_thread(service.kill, role)
            outcome.kills += 1

    async with httpx.AsyncClient(base_url=service.url(""), timeout=30, verify=False) as http:  # noqa: S501
        floor = Floor(http, random.Random(seed), shared, outcome)
        tasks = [floor.run(end, pause), *(shop(number) for number in range(SHOPPERS))]
        await asyncio.gather(*tasks, *([kill()] if kill_every else []))
    outcome.commands = len(history.calls)
    until(service.is_ready, limit_seconds=90)
    await asyncio.to_thread(check, service, outcome)
    return outcome


def check(service: Service, outcome: Outcome) -> None:
    """Wait until nothing is parked and all is persisted; then each event must be there once, and the stores agree."""
    parked = "SELECT count(*) FROM inbox WHERE status = 'parked'"
    until(lambda: service.sql(parked)[0][0] == 0, limit_seconds=90)
    until(service.persisted, limit_seconds=60)
    times = dict(service.sql("SELECT op, count(*) FROM event WHERE op LIKE 'event:floor%' GROUP BY op"))
    outcome.problems += [f"{op} counts {count} times" for op, count in times.items() if count != 1]
    if len(times) != outcome.events:
        outcome.problems.append(f"{outcome.events} events were told, {len(times)} are in the ledger")
    done = service.sellable("verify")
    outcome.problems += done.stdout.splitlines() if done.returncode else []


if __name__ == "__main__":
    sys.exit(main())
