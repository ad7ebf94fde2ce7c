"""Random clients of checkout and warehouse: they repeat themselves, lose replies, give up, and collide."""

import asyncio
import itertools
import random
import time
from dataclasses import dataclass, field

from app.domain.commands import (
    Adjust,
    Booking,
    Command,
    Confirm,
    Deduct,
    Extend,
    Line,
    Lock,
    Replace,
    Return,
    Unlock,
)
from app.domain.words import Place
from tests.histories.client import Client, Reply

SKUS = [f"SKU {n}" for n in range(12)]
WAREHOUSES = ["north", "south", "west"]
LOSS = 0.02


@dataclass(slots=True)
class Call:
    """One request: when it was sent and answered (None: nobody knows), as the client saw it."""

    command: Command
    invoked: float
    answered: float | None = None
    reply: Reply | None = None


@dataclass(slots=True)
class History:
    calls: list[Call] = field(default_factory=list)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)


def request_of(command: Command) -> tuple[str, dict, str]:
    """Path, body and Idempotency-Key of a command."""
    match command:
        case Lock():
            body = {"lock_id": command.lock_id, "lines": _lines(command.lines)}
            body |= {"ttl_seconds": None if command.ttl_ms is None else command.ttl_ms // 1000}
            return (
                "/v1/locks",
                body | ({"warehouses": list(command.warehouses)} if command.warehouses else {}),
                "",
            )
        case Confirm():
            return f"/v1/locks/{command.lock_id}/confirm", {}, command.key
        case Extend():
            ttl = None if command.ttl_ms is None else command.ttl_ms // 1000
            return f"/v1/locks/{command.lock_id}/extend", {"ttl_seconds": ttl}, command.key
        case Unlock():
            body = {"lines": _lines(command.lines)} if command.lines else {}
            return f"/v1/locks/{command.lock_id}/unlock", body, command.key
        case Deduct():
            body = {"shipment_id": command.key} | ({"lines": _lines(command.lines)} if command.lines else {})
            return f"/v1/locks/{command.lock_id}/deduct", body, ""
        case Replace():
            return f"/v1/locks/{command.lock_id}/replace", {"lines": _lines(command.lines)}, command.key
        case Return():
            lines = [{"sku": x.sku, "quantity": x.quantity, "condition": "sellable"} for x in command.lines]
            return (
                "/v1/returns",
                {"return_id": command.document_id, "warehouse": command.warehouse, "lines": lines},
                "",
            )
        case Adjust():
            lines = [
                {
                    "sku": x.sku,
                    "quantity": x.quantity * (1 if x.source is Place.ADJUSTMENT else -1),
                    "reason": x.reason,
                }
                for x in command.lines
            ]
            body = {"adjustment_id": command.document_id, "warehouse": command.warehouse, "lines": lines}
            return "/v1/adjustments", body, ""
    raise AssertionError(command)


def _lines(lines):
    return [
        {"sku": x.sku, "quantity": x.quantity} | ({"warehouse": x.warehouse} if x.warehouse else {})
        for x in lines
    ]


class Shopper:
    """One client: its own locks, now and then somebody else's, and what it may say again."""

    def __init__(self, client: Client, history: History, seed: int, shared: list[str]) -> None:
        self._client = client
        self._history = history
        self._chance = random.Random(seed)
        self._shared = shared
        self._said: list[Command] = []

    async def run(self, commands: int) -> None:
        """Send commands, and some of them again."""
        for _ in range(commands):
            await self.act()
        await self._client.close()

    async def act(self) -> None:
        """Send a command: a new one, or one of its own again."""
        again = self._said and self._chance.random() < 0.15
        command = self._chance.choice(self._said[-20:]) if again else self._new()
        self._said.append(command)
        await self._send(command)

    async def _send(self, command: Command) -> None:
        call = Call(command, time.monotonic())
        self._history.calls.append(call)
        path, body, key = request_of(command)
        reply = await self._client.post(path, body, key=key, lose_reply=self._chance.random() < LOSS)
        if reply is not None and reply.status != 503:
            call.answered, call.reply = time.monotonic(), reply

    def _new(self) -> Command:
        pick = self._chance.random()
        number = next(self._history.numbers)
        if pick < 0.35 or not self._shared:
            return self._lock(f"lock-{number}")
        if pick > 0.97:
            return self._adjust(number)
        if pick > 0.94:
            booking = Booking(self._sku(), Place.CUSTOMER, Place.AVAILABLE, self._chance.randint(1, 5))
            return Return(f"return-{number}", self._warehouse(), (booking,))
        recent = self._shared[-200:]
        return self._step(self._chance.choice(recent), f"key-{number}")

    def _lock(self, lock_id: str) -> Lock:
        self._shared.append(lock_id)
        lines = tuple(self._line() for _ in range(self._chance.choice([1, 1, 1, 2, 3])))
        ranked = tuple(self._chance.sample(WAREHOUSES, 2)) if self._chance.random() < 0.2 else ()
        return Lock(lock_id, lines, ranked, self._chance.choice([1_000, 2_000, 60_000, None]))

    def _step(self, lock_id: str, key: str) -> Command:
        line = (self._line(),)
        return self._chance.choice(
            [
                Confirm(lock_id),
                Confirm(lock_id),
                Extend(lock_id, key, 60_000),
                Unlock(lock_id),
                Unlock(lock_id),
                Unlock(lock_id, key, line),
                Deduct(lock_id, key),
                Deduct(lock_id, key),
                Deduct(lock_id, key, line),
                Replace(lock_id, key, line),
            ]
        )

    def _adjust(self, number: int) -> Adjust:
        lost = self._chance.random() < 0.3
        places = (Place.AVAILABLE, Place.ADJUSTMENT) if lost else (Place.ADJUSTMENT, Place.AVAILABLE)
        booking = Booking(self._sku(), *places, self._chance.randint(1, 15), "counted")
        return Adjust(f"adjustment-{number}", self._warehouse(), (booking,))

    def _line(self) -> Line:
        warehouse = self._warehouse() if self._chance.random() < 0.3 else ""
        return Line(self._sku(), self._chance.randint(1, 3), warehouse)

    def _sku(self) -> str:
        return self._chance.choice(SKUS)

    def _warehouse(self) -> str:
        return self._chance.choice(WAREHOUSES)


async def run_traffic(host: str, port: int, *, commands: int, clients: int, seed: int) -> History:
    """Send about `commands` commands by `clients` clients at once."""
    history, shared = History(), []
    await asyncio.gather(
        *(
            Shopper(Client(host, port), history, seed * 1_000 + n, shared).run(commands // clients)
            for n in range(clients)
        )
    )
    return history
