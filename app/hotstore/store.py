"""The hot store: one typed method a function. Which client carries the calls does not show."""

from collections.abc import Callable, Sequence

from app.domain.answers import Answer
from app.domain.commands import (
    Adjust,
    Book,
    Confirm,
    Deduct,
    Expire,
    Extend,
    Line,
    Lock,
    OpeningRow,
    Receive,
    Replace,
    Return,
    Step,
    Unlock,
)
from app.domain.outcomes import Outcome
from app.errors import NotReadyError
from app.hotstore import replies
from app.hotstore.keys import Keys
from app.hotstore.library import Library
from app.hotstore.replies import Stock
from app.hotstore.wire import FunctionCaller

Args = list[str | int]


class HotStore:
    """The working counts of one shard. `order` ranks warehouses where a request does not.

    Every method raises `NotReadyError` (it surely did not run) or `OutcomeUnknownError` (repeat with the
    same id).
    """

    def __init__(
        self,
        caller: FunctionCaller,
        keys: Keys,
        library: Library,
        *,
        order: Sequence[str] = (),
        on_shut: Callable[[], None] = lambda: None,
    ) -> None:
        self._caller = caller
        self._keys = keys
        self._library = library
        self._order: Args = [len(order), *order]
        self._on_shut = on_shut
        self.epoch = ""

    # Commands

    async def lock(self, command: Lock, who: str = "") -> Answer:
        """Hold stock for an order, all lines or none."""
        args: Args = [command.lock_id, command.fingerprint, _optional(command.ttl_ms)]
        args += [len(command.warehouses), *command.warehouses, *self._order, *_lines(command.lines)]
        return await self._write("lock", who, args)

    async def confirm(self, command: Confirm, who: str = "") -> Answer:
        """Make a lock last; take its stock again if it had expired."""
        return await self._write("confirm", who, [*_step(command), *self._order])

    async def extend(self, command: Extend, who: str = "") -> Answer:
        """Let a held lock expire later, counted from now."""
        return await self._write("extend", who, [*_step(command), _optional(command.ttl_ms)])

    async def unlock(self, command: Unlock, who: str = "") -> Answer:
        """Give back all that is left of a lock, or some."""
        lines = _lines(command.lines) if command.lines is not None else []
        reason = _json(command.reason)
        return await self._write("unlock", who, [*_step(command), reason, *lines])

    async def deduct(self, command: Deduct, who: str = "") -> Answer:
        """Take what shipped off the shelf."""
        lines = _lines(command.lines) if command.lines is not None else []
        return await self._write("deduct", who, [*_step(command), *lines])

    async def replace(self, command: Replace, who: str = "") -> Answer:
        """Swap a lock's lines for others."""
        ranked: Args = [len(command.warehouses), *command.warehouses]
        return await self._write(
            "replace", who, [*_step(command), *ranked, *self._order, *_lines(command.lines)]
        )

    async def expire(self, command: Expire, who: str = "") -> Answer:
        """Give an overdue lock's stock back."""
        return await self._write("expire", who, [command.lock_id])

    async def receive(self, command: Receive, who: str = "") -> Answer:
        """Book goods that came in."""
        return await self._book("receive", command, who)

    async def return_goods(self, command: Return, who: str = "") -> Answer:
        """Book goods that came back."""
        return await self._book("return", command, who)

    async def adjust(self, command: Adjust, who: str = "") -> Answer:
        """Book a correction."""
        return await self._book("adjust", command, who)

    async def opening(self, rows: Sequence[OpeningRow], who: str = "") -> tuple[Answer, int]:
        """Set `on_hand` absolutely; return the answer and how many rows changed something."""
        args: Args = [len(rows)]
        for row in rows:
            args += [row.sku, row.warehouse, row.on_hand, _optional(row.buffer)]
        answer = await self._write("opening", who, args)
        return answer, int(answer.detail or "0")

    # Reads

    async def read_stock(self, skus: Sequence[str]) -> tuple[str, list[Stock | None]]:
        """Return the epoch and the counts of each SKU, None where it is unknown."""
        reply = await self._read("read_stock", list(skus))
        found = [Stock(sku, fields) if fields else None for sku, fields in zip(skus, reply[2:], strict=True)]
        return reply[1], found

    async def read_lock(self, lock_id: str) -> Answer:
        """Return READ with the lock, or UNKNOWN_LOCK."""
        return replies.answer_of(await self._read("read_lock", [lock_id]))

    async def read_due(self, locks_max: int) -> list[str]:
        """Return held locks that are overdue, oldest first."""
        return (await self._read("read_due", [locks_max]))[3:]

    # Housekeeping

    async def trim(self, keep_from: str, persisted: str) -> Answer:
        """Drop outbox entries below `keep_from` ('' for none), and publish how far the ledger is."""
        return await self._write("trim", "", [keep_from, persisted])

    async def forget(self, lock_id: str, ops: Sequence[str]) -> Answer:
        """Drop an ended lock ('' for none) and ops, once they are persisted and past the horizon."""
        return await self._write("forget", "", [lock_id, *ops])

    # Calls

    async def _book(self, function: str, command: Book, who: str) -> Answer:
        args: Args = [command.op, command.fingerprint, _optional(command.occurred_at), command.warehouse]
        args.append(len(command.lines))
        for line in command.lines:
            args += [line.sku, line.source.value, line.target.value, line.quantity, _json(line.reason)]
        return await self._write(function, who, args)

    async def _write(self, function: str, who: str, args: Args) -> Answer:
        """Call with our epoch; a refusal for an old one changed nothing, so call again with the new one."""
        for _ in range(2):
            epoch = self.epoch or await self._refresh_epoch()
            reply = await self._call(function, [epoch, who, *args])
            if reply[0] != Outcome.STALE_EPOCH:
                return replies.answer_of(reply)
            self.epoch = ""
        raise NotReadyError("the epoch changed twice during one command")

    async def _refresh_epoch(self) -> str:
        reply = await self._read("read_due", [0])
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


def _optional(number: int | None) -> str | int:
    return "" if number is None else number


def _json(text: str | None) -> str:
    return "" if text is None else replies.quote(text)


def _step(command: Step) -> Args:
    return [command.lock_id, command.op, command.fingerprint]


def _lines(lines: Sequence[Line]) -> Args:
    args: Args = [len(lines)]
    for line in lines:
        args += [line.sku, line.quantity, line.warehouse]
    return args
