"""A steady load from outside, and the recorder of every request and reply."""

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from app.domain.commands import Command, Lock, OpeningRow
from tests.histories.client import Client, Reply
from tests.histories.traffic import SKUS, WAREHOUSES, Call, History, Shopper, request_of

CLIENTS = 16
READERS = 2
ANSWER_SECONDS_MAX = 12.0
Levels = tuple[tuple[str, float], ...]
"""Levels that are asked for, each with its share of the commands."""
OPENING = [
    OpeningRow(sku, warehouse, 150 if n % 3 == 0 else 4_000, 5 if n % 4 == 0 else 0)
    for n, sku in enumerate(SKUS)
    for warehouse in WAREHOUSES
]
"""A third of the SKUs runs out, so that overselling has a chance."""


@dataclass(slots=True)
class Sent:
    """One request, whatever became of it; `status` is 0 if no answer came."""

    sent_at: float
    answered_at: float
    what: str
    status: int
    level: str = ""
    stale: bool = False
    code: str = ""


@dataclass(slots=True)
class Recorder:
    """All that the clients saw: commands with their replies for the judge, and every request's times."""

    history: History = field(default_factory=History)
    sent: list[Sent] = field(default_factory=list)

    @property
    def calls(self) -> list[Call]:
        return self.history.calls

    def acknowledged(self) -> int:
        return sum(call.reply is not None and call.reply.status < 400 for call in self.calls)

    def dump(self) -> str:
        """Every call on a line of its own, to look at afterwards."""
        return "\n".join(
            json.dumps([call.invoked, call.answered, repr(call.command), call.reply and call.reply.body])
            for call in self.calls
        )


class Buyer(Shopper):
    """A shopper at a pace, that asks for a level now and then, and writes down what it was told."""

    def __init__(
        self,
        client: Client,
        recorder: Recorder,
        seed: int,
        shared: list[str],
        *,
        pace_seconds: float,
        levels: Levels,
    ) -> None:
        super().__init__(client, recorder.history, seed, shared)
        self._recorder = recorder
        self._pace_seconds = pace_seconds
        self._levels = levels

    async def _send(self, command: Command) -> None:
        await asyncio.sleep(self._chance.expovariate(1 / self._pace_seconds))
        path, body, key = request_of(command)
        pick = self._chance.random()
        for level, share in self._levels:
            if 0 <= pick < share:
                body = body | {"durability": level}
            pick -= share
        lose_reply = self._chance.random() < 0.01
        call = Call(command, time.monotonic())
        self._history.calls.append(call)
        reply = await self._client.post(path, body, key=key, lose_reply=lose_reply)
        now = time.monotonic()
        if not lose_reply:
            self._note(call.invoked, now, "lock" if isinstance(command, Lock) else "step", reply)
        if reply is not None and reply.status < 500:
            call.answered, call.reply = now, reply

    def _note(self, sent_at: float, now: float, what: str, reply: Reply | None) -> None:
        body = reply.body if reply is not None else {}
        self._recorder.sent.append(
            Sent(
                sent_at,
                now,
                what,
                reply.status if reply else 0,
                level=body.get("durability", ""),
                code=body.get("code", ""),
            )
        )


class Reader:
    """Somebody who looks at product pages."""

    def __init__(self, client: Client, recorder: Recorder, seed: int, *, pace_seconds: float) -> None:
        self._client = client
        self._recorder = recorder
        self._chance = random.Random(seed)
        self._pace_seconds = pace_seconds

    async def act(self) -> None:
        """Look at one page."""
        await asyncio.sleep(self._chance.expovariate(1 / self._pace_seconds))
        sent_at = time.monotonic()
        reply = await self._client.get(f"/v1/availability/{quote(self._chance.choice(SKUS), safe='')}")
        body, status = (reply.body, reply.status) if reply is not None else ({}, 0)
        self._recorder.sent.append(
            Sent(sent_at, time.monotonic(), "page", status, stale=bool(body.get("stale")))
        )


class Load:
    """Buyers and readers on one API, until it is stopped; to be used inside the loop."""

    def __init__(
        self,
        api: str,
        recorder: Recorder,
        *,
        seed: int,
        commands_per_second: float,
        levels: Levels,
        clients: int = CLIENTS,
    ) -> None:
        self._where = urlsplit(api)
        self._recorder = recorder
        self._seed = seed
        self._clients_max = clients
        self._pace_seconds = clients / commands_per_second
        self._levels = levels
        self._tasks: list[asyncio.Task[None]] = []
        self._clients: list[Client] = []
        self._stopping = False

    async def start(self) -> None:
        shared: list[str] = []
        for n in range(self._clients_max):
            buyer = Buyer(
                self._client(),
                self._recorder,
                self._seed * 1_000 + n,
                shared,
                pace_seconds=self._pace_seconds,
                levels=self._levels,
            )
            self._tasks.append(asyncio.create_task(self._go_on(buyer)))
        for n in range(READERS):
            reader = Reader(self._client(), self._recorder, self._seed * 1_000 + 500 + n, pace_seconds=0.05)
            self._tasks.append(asyncio.create_task(self._go_on(reader)))

    async def stop(self) -> None:
        """Let every request end, so that what was sent is known to have been answered or not."""
        self._stopping = True
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for client in self._clients:
            await client.close()
        await asyncio.sleep(0.05)  # sockets close in the loop's next turns
        for task in self._tasks:
            task.result()

    async def _go_on(self, who: Buyer | Reader) -> None:
        while not self._stopping:
            await who.act()

    def _client(self) -> Client:
        where = self._where.hostname or "", self._where.port or 0
        self._clients.append(Client(*where, answer_seconds_max=ANSWER_SECONDS_MAX))
        return self._clients[-1]
