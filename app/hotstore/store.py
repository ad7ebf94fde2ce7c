"""The hot store: what runs commands, and what reads. Which client carries the calls does not show."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from app.domain.answers import Answer
from app.domain.arguments import Arguments
from app.domain.commands import Command
from app.domain.outcomes import Outcome
from app.domain.ranking import Ranking
from app.errors import NotReadyError, OutcomeUnknownError
from app.hotstore import replies
from app.hotstore.keys import Keys
from app.hotstore.library import Library
from app.hotstore.replies import Stock
from app.hotstore.ring import Ring


class Caller(Protocol):
    """What carries a call; which client is underneath does not show."""

    async def call(self, function: str, key: str, args: Sequence[str | int], *, read: bool = False) -> Any:
        """Return the function's reply."""
        ...


class HotStore:
    """The working counts of one shard. `ranking` ranks warehouses where a request does not; else `order` does.

    Every method raises `NotReadyError` (it surely did not run) or `OutcomeUnknownError` (repeat with the
    same id).
    """

    def __init__(
        self,
        caller: Caller,
        keys: Keys,
        library: Library,
        *,
        order: Sequence[str] = (),
        ranking: Ranking | None = None,
        on_shut: Callable[[], None] = lambda: None,
        ring: Ring | None = None,
    ) -> None:
        self._caller = caller
        self._keys = keys
        self._library = library
        self._ranking = ranking or Ranking(order)
        self._on_shut = on_shut
        self._ring = ring
        self._epoch_min = 0
        self.epoch = ""

    def leave(self, epoch_min: int) -> None:
        """Write to no memory of an earlier epoch from now on: a newer one was opened elsewhere."""
        self._epoch_min = epoch_min
        if self.epoch and int(self.epoch) < epoch_min:
            self._shut()

    # Commands

    async def execute(self, command: Command, who: str = "") -> Answer:
        """Do what a command asks for, or say why it was refused; `who` is the caller's name, for the ledger."""
        reply = await self._reply_to(command.function, who, command.arguments(self._ranking))
        if command.subject not in {reply[1], ""}:  # a reply about something else belongs to another call
            raise OutcomeUnknownError(f"the hot store answered about {reply[1]!r}, not {command.subject!r}")
        if self._ring is not None:
            self._ring.add(command, reply)
        return replies.answer_to(command, reply)

    # What had been forgotten

    async def recall_documents(self, families: Mapping[str, Mapping[str, str]], who: str = "") -> Answer:
        """Remember documents again, as the ledger has them: by family the sums of each SKU."""
        args: Arguments = []
        for family, sums in families.items():
            args += [family, len(sums), *(item for pair in sums.items() for item in pair)]
        return await self._write("recall_documents", who, args)

    async def recall_lock(self, lock_id: str, fields: Mapping[str, str], who: str = "") -> Answer:
        """Remember an ended lock again, as the ledger has it."""
        flat = [item for pair in fields.items() for item in pair]
        return await self._write("recall", who, [lock_id, *flat])

    async def recall_transfer(self, transfer_id: str, fields: Mapping[str, str], who: str = "") -> Answer:
        """Remember an ended transfer again, as the ledger has it."""
        flat = [item for pair in fields.items() for item in pair]
        return await self._write("recall_transfer", who, [transfer_id, *flat])

    # Reads

    async def read_stock(self, skus: Sequence[str]) -> tuple[str, list[Stock | None]]:
        """Return the epoch and the counts of each SKU, None where it is unknown.

        SKUs in very many warehouses are read in several calls, each of which must find the same epoch.
        """
        found: list[Stock | None] = []
        epoch = ""
        while len(found) < len(skus) or not epoch:
            reply = await self._read("read_stock", list(skus[len(found) :]))
            if epoch not in {"", reply[1]}:
                raise NotReadyError("the epoch changed while SKUs were read")
            epoch = reply[1]
            rest = zip(skus[len(found) :], reply[2:], strict=False)
            found += [Stock(sku, fields) if fields else None for sku, fields in rest]
        return epoch, found

    async def read_lock(self, lock_id: str) -> Answer:
        """Return READ with the lock, or UNKNOWN_LOCK."""
        return replies.answer_of(await self._read("read_lock", [lock_id]))

    async def read_transfer(self, transfer_id: str) -> Answer:
        """Return READ with the transfer, or UNKNOWN_TRANSFER."""
        return replies.transfer_answer_of(await self._read("read_transfer", [transfer_id]))

    async def read_due(self, locks_max: int) -> list[str]:
        """Return held locks that are overdue, oldest first."""
        return (await self._read("read_due", [locks_max]))[3:]

    async def read_last(self) -> str:
        """Return the position of the last event, as `<epoch>-<n>`."""
        return (await self._read("read_last", []))[2]

    async def read_forgotten(self) -> int:
        """Return up to when ids are forgotten, in ms since 1970; 0 for none."""
        return int((await self._read("read_forgotten", []))[2])

    # Housekeeping

    async def trim(self, keep_from: str, persisted: str) -> Answer:
        """Drop outbox entries below `keep_from` ('' for none), and publish how far the ledger is."""
        return await self._write("trim", "", [keep_from, persisted])

    async def limit(self, entries: int, words: str) -> Answer:
        """Refuse new obligations from so many outbox entries on, and keep the worker's words beside it."""
        return await self._write("limit", "", [entries, words])

    async def forgetting(self, until_ms: int) -> Answer:
        """Note up to when ids will have been forgotten, before they are."""
        return await self._write("forgetting", "", [until_ms])

    async def forget(self, lock_id: str, ops: Sequence[str]) -> Answer:
        """Drop an ended lock ('' for none) and ops, once they are persisted and past the horizon."""
        return await self._write("forget", "", [lock_id, *ops])

    async def forget_transfer(self, transfer_id: str, ops: Sequence[str]) -> Answer:
        """Drop an ended transfer and the ids used on it, once they are persisted and past the horizon."""
        return await self._write("forget_transfer", "", [transfer_id, *ops])

    async def forget_documents(self, families: Sequence[str]) -> Answer:
        """Drop the sums of documents, once they are persisted and past the horizon."""
        return await self._write("forget_documents", "", list(families))

    # Calls

    async def _write(self, function: str, who: str, args: Arguments) -> Answer:
        return replies.answer_of(await self._reply_to(function, who, args))

    async def _reply_to(self, function: str, who: str, args: Arguments) -> list[str]:
        """Call with our epoch; a refusal for an old one changed nothing, so call again with the new one."""
        for _ in range(2):
            epoch = self.epoch or await self._refresh_epoch()
            reply = await self._call(function, [epoch, who, *args])
            if reply[0] != Outcome.STALE_EPOCH:
                return reply
            self.epoch = ""
        raise NotReadyError("the epoch changed twice during one command")

    async def check_open(self) -> None:
        """Raise `NotReadyError` unless the gate is open, for an epoch that is not over."""
        await self._refresh_epoch()

    async def _refresh_epoch(self) -> str:
        reply = await self._read("read_due", [0])
        if int(reply[1]) < self._epoch_min:
            raise NotReadyError("this hot store is an old one: a newer epoch was opened elsewhere")
        self.epoch = reply[1]
        return self.epoch

    async def _read(self, function: str, args: Arguments) -> list[str]:
        return await self._call(function, args, read=True)

    async def _call(self, function: str, args: Arguments, *, read: bool = False) -> list[str]:
        try:
            reply: list[str] = await self._caller.call(
                self._library.function(function), self._keys.meta, args, read=read
            )
        except NotReadyError:
            self._shut()
            raise
        if reply[0] in {Outcome.NOT_READY, Outcome.UNKNOWN_LAYOUT}:
            self._shut()
            raise NotReadyError("the hot store's memory was not checked yet")
        return reply

    def _shut(self) -> None:
        self.epoch = ""
        self._on_shut()
