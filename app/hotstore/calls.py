"""Commands as the functions take them: the function's name and its arguments after epoch and who."""

from collections.abc import Sequence

import msgspec

from app.domain.commands import (
    Accept,
    Adjust,
    Book,
    Booking,
    Buffer,
    Confirm,
    Count,
    Deduct,
    Exchange,
    Expire,
    Extend,
    Fact,
    Line,
    Lock,
    OpeningRow,
    Remember,
    Reopen,
    Replace,
    Return,
    Step,
    Transfer,
    TransferClose,
    TransferReceive,
    TransferShip,
    TransferStep,
    Unlock,
    Void,
)

Args = list[str | int]


def lock(command: Lock, order: Args) -> Args:
    """`order` is what `ranked` returns."""
    args: Args = [command.lock_id, command.fingerprint, _optional(command.ttl_ms)]
    args += [len(command.warehouses), *command.warehouses, *order, *_lines(command.lines)]
    return args


def confirm(command: Confirm, order: Args) -> Args:
    """`order` is what `ranked` returns, for an expired lock that is sourced again."""
    return [*_step(command), *order]


def extend(command: Extend, *, expires_at: int | None = None) -> Args:
    """No expiry is ''; only a lock that still expires at `expires_at`, if that is said."""
    return [*_step(command), _optional(command.ttl_ms), *([] if expires_at is None else [str(expires_at)])]


def unlock(command: Unlock) -> Args:
    """Without lines: all that is left."""
    lines = _lines(command.lines) if command.lines is not None else []
    return [*_step(command), _json(command.reason), *lines]


def deduct(command: Deduct) -> Args:
    """Without lines: all that is left."""
    lines = _lines(command.lines) if command.lines is not None else []
    return [*_step(command), _optional(command.occurred_at), _flag(on=command.only_if_on_hand), *lines]


def void(command: Void) -> Args:
    """What the shipment took, as the ledger has it; without lines: it was voided before."""
    args: Args = [*_step(command), command.shipment_op, _optional(command.occurred_at), _json(command.reason)]
    return [*args, *(_lines(command.lines) if command.lines else [])]


def replace(command: Replace, order: Args) -> Args:
    """`order` is what `ranked` returns."""
    ttl: str | int = ""
    if command.renews:
        ttl = "never" if command.ttl_ms is None else command.ttl_ms
    args: Args = [*_step(command), _optional(command.version), ttl]
    return [*args, len(command.warehouses), *command.warehouses, *order, *_lines(command.lines)]


def reopen(command: Reopen, order: Args) -> Args:
    """No expiry is ''; `order` is what `ranked` returns."""
    return [*_step(command), _optional(command.ttl_ms), *order]


def remember(command: Remember) -> Args:
    """Only the id."""
    return [command.lock_id]


def expire(command: Expire) -> Args:
    """No bound of the time is ''."""
    return [command.lock_id, _optional(command.now_max)]


def book(command: Book) -> Args:
    """receive, return, adjust and count alike; a return may end in the lock that it is of, an adjustment in a flag."""
    args: Args = [command.op, command.fingerprint, _optional(command.occurred_at), command.warehouse]
    args += [msgspec.json.encode(command.document).decode() if command.document else ""]
    args += _bookings(command.lines)
    if isinstance(command, Count):
        return [*args, command.since]
    if isinstance(command, Adjust) and command.only_if_on_hand:
        return [*args, _flag(on=True)]
    return [*args, command.lock_id] if isinstance(command, Return) and command.lock_id else args


def exchange(command: Exchange, order: Args) -> Args:
    """The return first, then the lock; `order` as of `lock`."""
    new = command.lock
    args: Args = [new.lock_id, command.op, command.fingerprint, new.fingerprint, _optional(new.ttl_ms)]
    args += [_optional(command.occurred_at), command.warehouse, *_bookings(command.returned)]
    args += [len(new.warehouses), *new.warehouses, *order, *_lines(new.lines)]
    return [*args, command.lock_id] if command.lock_id else args


def _bookings(lines: Sequence[Booking]) -> Args:
    args: Args = [len(lines)]
    for line in lines:
        args += [line.sku, line.source.value, line.target.value, line.quantity, _json(line.reason)]
    return args


def opening(rows: Sequence[OpeningRow]) -> Args:
    """A buffer that stays as it is is ''. What the rows expect comes behind them, if any expects anything."""
    args: Args = [len(rows)]
    for row in rows:
        args += [row.sku, row.warehouse, row.on_hand, _optional(row.buffer)]
    if any(row.expected is not None for row in rows):
        args += ["" if row.expected is None else row.expected for row in rows]
    return args


def fact(command: Fact) -> Args:
    """All of one event of a warehouse system; `mode` is a `FactMode`."""
    args: Args = [command.op, command.fingerprint, command.occurred_at, command.type, command.warehouse]
    args += [
        command.sku,
        command.quantity,
        command.damaged,
        command.lost,
        command.state.value,
        command.document_id,
    ]
    args += [command.document_op, command.content, command.source, _optional(command.sequence), command.mode]
    args += [_json(command.reason), _json(command.odd), command.word_of, command.family, command.document]
    return [*args, command.line_id, "totals" if command.totals else ""]


def accept(command: Accept) -> Args:
    """The case, and whose word is taken."""
    head: Args = [command.op, command.fingerprint, command.family, command.sku, command.reporter]
    return [*head, _json(command.reason), command.lock_id]


def transfer(command: Transfer) -> Args:
    """The lines name no warehouse: all are taken at the source."""
    head: Args = [command.transfer_id, command.fingerprint, command.source, command.destination]
    return [*head, *_lines(command.lines)]


def transfer_ship(command: TransferShip) -> Args:
    """Without lines: all that is left."""
    lines = _lines(command.lines) if command.lines is not None else []
    return [*_transfer_step(command), _optional(command.occurred_at), *lines]


def transfer_receive(command: TransferReceive) -> Args:
    """Each line has its good, damaged and lost units."""
    args: Args = [*_transfer_step(command), _optional(command.occurred_at), len(command.lines)]
    for line in command.lines:
        args += line
    return args


def transfer_cancel(command: TransferStep) -> Args:
    """Only the transfer."""
    return _transfer_step(command)


def merge(subject: str, code: str, into: str, reason: str) -> Args:
    """A SKU, lock or transfer alike."""
    return [subject, code, into, _json(reason)]


def transfer_close(command: TransferClose) -> Args:
    """What becomes of units on the way, and why."""
    return [*_transfer_step(command), command.in_transit, _json(command.reason)]


def _transfer_step(command: TransferStep) -> Args:
    return [command.transfer_id, command.op, command.fingerprint]


def buffer(command: Buffer) -> Args:
    """The warehouse, then each SKU with its new buffer."""
    args: Args = [command.warehouse, len(command.lines)]
    for line in command.lines:
        args += [line.sku, line.quantity]
    return args


def compensate(sku: str, op: str, reason: str, version: int, warehouses: Sequence[str]) -> Args:
    """The fingerprint is the SKU's: an op stands for one drop."""
    return [op, "compensate", _json(reason), sku, version, *warehouses]


def ranked(order: Sequence[str], closed: Sequence[str] = ()) -> Args:
    """The default rank of warehouses, then those that promise nothing new: of each a count, then codes."""
    return [len(order), *order, len(closed), *closed]


def _optional(number: int | None) -> str | int:
    return "" if number is None else number


def _flag(*, on: bool) -> str:
    return "1" if on else ""


def _json(text: str | None) -> str:
    """Free text as the JSON string that a function puts into its event."""
    return "" if text is None else msgspec.json.encode(text).decode()


def _step(command: Step) -> Args:
    return [command.lock_id, command.op, command.fingerprint]


def _lines(lines: Sequence[Line]) -> Args:
    args: Args = [len(lines)]
    for line in lines:
        args += [line.sku, line.quantity, line.warehouse]
    return args
