"""The hot store: one typed method a function. Which client carries the calls does not show."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from app.domain.answers import Answer
from app.domain.commands import (
    Accept,
    Adjust,
    Buffer,
    Confirm,
    Count,
    Deduct,
    Exchange,
    Expire,
    Extend,
    Fact,
    Lock,
    OpeningRow,
    Receive,
    Remember,
    Reopen,
    Replace,
    Return,
    Transfer,
    TransferCancel,
    TransferClose,
    TransferReceive,
    TransferShip,
    Unlock,
    Void,
)
from app.domain.outcomes import Outcome
from app.errors import NotReadyError, OutcomeUnknownError
from app.hotstore import calls, replies
from app.hotstore.calls import Args
from app.hotstore.keys import Keys
from app.hotstore.library import Library
from app.hotstore.ranking import Ranking
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

    async def lock(self, command: Lock, who: str = "") -> Answer:
        """Hold stock for an order, all lines or none."""
        return await self._write("lock", who, calls.lock(command, self._ranking.order))

    async def confirm(self, command: Confirm, who: str = "") -> Answer:
        """Make a lock last; take its stock again if it had expired."""
        return await self._write("confirm", who, calls.confirm(command, self._ranking.order))

    async def extend(self, command: Extend, who: str = "", *, expires_at: int | None = None) -> Answer:
        """Let a held lock expire later, counted from now; unchanged unless it expires at `expires_at`, if said."""
        return await self._write("extend", who, calls.extend(command, expires_at=expires_at))

    async def unlock(self, command: Unlock, who: str = "") -> Answer:
        """Give back all that is left of a lock, or some."""
        return await self._write("unlock", who, calls.unlock(command))

    async def deduct(self, command: Deduct, who: str = "") -> Answer:
        """Take what shipped off the shelf."""
        return await self._write("deduct", who, calls.deduct(command))

    async def void(self, command: Void, who: str = "") -> Answer:
        """Put what a shipment took back on the shelf, promised to the order."""
        return await self._write("void", who, calls.void(command))

    async def replace(self, command: Replace, who: str = "") -> Answer:
        """Swap a lock's lines for others."""
        return await self._write("replace", who, calls.replace(command, self._ranking.order))

    async def reopen(self, command: Reopen, who: str = "") -> Answer:
        """Hold the stock of an expired or released lock again."""
        return await self._write("reopen", who, calls.reopen(command, self._ranking.order))

    async def remember(self, command: Remember, who: str = "") -> Answer:
        """Note an id that no lock has as released; UNCHANGED if a lock has it."""
        return await self._write("remember", who, calls.remember(command))

    async def expire(self, command: Expire, who: str = "") -> Answer:
        """Give an overdue lock's stock back."""
        return await self._write("expire", who, calls.expire(command))

    async def receive(self, command: Receive, who: str = "") -> Answer:
        """Book goods that came in."""
        return await self._write("receive", who, calls.book(command))

    async def return_goods(self, command: Return, who: str = "") -> Answer:
        """Book goods that came back."""
        return await self._write("return", who, calls.book(command))

    async def exchange(self, command: Exchange, who: str = "") -> Answer:
        """Book what came back and hold other stock instead, both or neither."""
        args = calls.exchange(command, self._ranking.order)
        return await self._write("exchange", who, args)

    async def adjust(self, command: Adjust, who: str = "") -> Answer:
        """Book a correction."""
        return await self._write("adjust", who, calls.book(command))

    async def count(self, command: Count, who: str = "") -> Answer:
        """Book what a count found to differ; MOVED_SINCE if the difference is not up to date."""
        return await self._write("count", who, calls.book(command))

    async def fact(self, command: Fact, who: str = "") -> Answer:
        """Book an event of a warehouse system, or say why it has to wait; `detail` says what was odd about it."""
        return await self._write("fact", who, calls.fact(command))

    async def accept(self, command: Accept, who: str = "") -> Answer:
        """Take the word of one of a document's reporters; what is booked follows it."""
        return await self._write("accept", who, calls.accept(command))

    async def recall_documents(self, families: Mapping[str, Mapping[str, str]], who: str = "") -> Answer:
        """Remember documents again, as the ledger has them: by family the sums of each SKU."""
        args: Args = []
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

    async def opening(self, rows: Sequence[OpeningRow], who: str = "") -> replies.Opened:
        """Set `on_hand` absolutely, of each row that finds what it expects."""
        return replies.opened_of(await self._reply_to("opening", who, calls.opening(rows)))

    async def transfer(self, command: Transfer, who: str = "") -> Answer:
        """Promise stock at one warehouse to another, all lines or none."""
        return await self._write_transfer("transfer", who, calls.transfer(command))

    async def ship_transfer(self, command: TransferShip, who: str = "") -> Answer:
        """Take what left the source off its shelf; it is on the way."""
        return await self._write_transfer("transfer_ship", who, calls.transfer_ship(command))

    async def receive_transfer(self, command: TransferReceive, who: str = "") -> Answer:
        """Book what arrived at the destination, and what was lost on the way."""
        return await self._write_transfer("transfer_receive", who, calls.transfer_receive(command))

    async def cancel_transfer(self, command: TransferCancel, who: str = "") -> Answer:
        """Give back what has not shipped."""
        return await self._write_transfer("transfer_cancel", who, calls.transfer_cancel(command))

    async def close_transfer(self, command: TransferClose, who: str = "") -> Answer:
        """Give back what has not shipped, and give up what is on the way if that is said."""
        return await self._write_transfer("transfer_close", who, calls.transfer_close(command))

    async def buffer(self, command: Buffer, who: str = "") -> Answer:
        """Set buffers in one warehouse absolutely."""
        return await self._write("buffer", who, calls.buffer(command))

    async def merge_stock(self, sku: str, code: str, into: str, reason: str, who: str = "") -> Answer:
        """Let what a SKU has in a warehouse be in another one."""
        return await self._write("merge_stock", who, calls.merge(sku, code, into, reason))

    async def merge_lock(self, lock_id: str, code: str, into: str, reason: str, who: str = "") -> Answer:
        """Let what an open lock holds in a warehouse be held in another one."""
        return await self._write("merge_lock", who, calls.merge(lock_id, code, into, reason))

    async def merge_transfer(
        self, transfer_id: str, code: str, into: str, reason: str, who: str = ""
    ) -> Answer:
        """Let an open transfer lead from, or to, another warehouse."""
        return await self._write_transfer("merge_transfer", who, calls.merge(transfer_id, code, into, reason))

    async def compensate(
        self,
        sku: str,
        op: str,
        reason: str,
        who: str = "",
        *,
        version: int = 0,
        warehouses: Sequence[str] = (),
    ) -> Answer:
        """Say again what a SKU has, so that the ledger can drop moves that it cannot book.

        The ledger has got to `version` with it, in these warehouses: a record that was made anew has less.
        """
        return await self._write("compensate", who, calls.compensate(sku, op, reason, version, warehouses))

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

    async def _write(self, function: str, who: str, args: Args) -> Answer:
        return replies.answer_of(await self._reply_to(function, who, args))

    async def _write_transfer(self, function: str, who: str, args: Args) -> Answer:
        return replies.transfer_answer_of(await self._reply_to(function, who, args))

    async def _reply_to(self, function: str, who: str, args: Args) -> list[str]:
        """Call with our epoch; a refusal for an old one changed nothing, so call again with the new one."""
        for _ in range(2):
            epoch = self.epoch or await self._refresh_epoch()
            reply = await self._call(function, [epoch, who, *args])
            if reply[0] != Outcome.STALE_EPOCH:
                _check_echo(function, reply, args)
                if self._ring is not None and function in _WRITES:
                    self._ring.add(function, reply, args)
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

    async def _read(self, function: str, args: Args) -> list[str]:
        return await self._call(function, args, read=True)

    async def _call(self, function: str, args: Args, *, read: bool = False) -> list[str]:
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


_ECHOES = frozenset({"lock", "confirm", "extend", "unlock", "deduct", "replace", "expire"}) | frozenset(
    {
        "reopen",
        "remember",
        "void",
        "exchange",
        "receive",
        "return",
        "adjust",
        "transfer",
        "transfer_ship",
        "transfer_receive",
        "transfer_cancel",
        "transfer_close",
        "buffer",
        "count",
        "fact",
        "accept",
        "merge_stock",
        "merge_lock",
        "merge_transfer",
    }
)


_WRITES = _ECHOES - {"expire"} | {"opening"}
"""Commands of callers: what they were told is remembered."""


def _check_echo(function: str, reply: Sequence[str], args: Args) -> None:
    """A reply names what it is about: one that names something else belongs to another call."""
    if function in _ECHOES and reply[1] != args[0]:
        raise OutcomeUnknownError(f"the hot store answered about {reply[1]!r}, not {args[0]!r}")
