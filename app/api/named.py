"""The codes that a request names, each with its field: warehouses, and SKUs that it must not bring into being."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from app.domain.commands import (
    Adjust,
    Book,
    Booking,
    Buffer,
    Deduct,
    Exchange,
    Line,
    Lock,
    Replace,
    Return,
    Step,
    Transfer,
    TransferReceive,
    TransferShip,
    TransferStep,
    Unlock,
)
from app.domain.purchase_orders import Plan
from app.operations.stock_takes import StockTake

Writing = Lock | Step | Book | Exchange | Transfer | TransferStep | Buffer | Plan | StockTake
"""What comes in over HTTP."""
Named = tuple[str, str]
"""A field, and the code in it."""


class _OfSku(Protocol):
    @property
    def sku(self) -> str: ...


def warehouses_in(request: Writing) -> Iterator[Named]:
    """Yield every warehouse that a request names."""
    match request:
        case Lock() | Replace():
            yield from ((f"warehouses[{i}]", code) for i, code in enumerate(request.warehouses))
            yield from _of_lines(request.lines)
        case Unlock() | Deduct():
            yield from _of_lines(request.lines or ())
        case Exchange():
            yield "warehouse", request.warehouse
            yield from ((f"lock.{name}", code) for name, code in warehouses_in(request.lock))
        case Transfer():
            yield "from", request.source
            yield "to", request.destination
        case Book() | Buffer() | Plan() | StockTake():
            yield "warehouse", request.warehouse


def receivers_in(request: Writing) -> Iterator[Named]:
    """Yield those of its warehouses that must be open: where something is promised, ordered or sent to."""
    match request:
        case Lock() | Replace():
            yield from warehouses_in(request)
        case Exchange():
            yield from ((f"lock.{name}", code) for name, code in warehouses_in(request.lock))
        case Transfer():
            yield "to", request.destination
        case Plan():
            yield "warehouse", request.warehouse


def skus_in(request: Writing) -> Iterator[Named]:
    """Yield every SKU that must be known: a line of it would bring it into being, or make no sense."""
    match request:
        case Return() | Adjust() | Transfer() | Buffer() | StockTake():
            yield from _skus_of("lines", request.lines)
        case Exchange():
            yield from _skus_of("returned", request.returned)


def moved_in(request: Writing) -> Iterator[Named]:
    """Yield every SKU of which a step takes some from a lock or a transfer."""
    match request:
        case Unlock() | Deduct() | TransferShip() | TransferReceive():
            yield from _skus_of("lines", request.lines or ())


def _of_lines(lines: Iterable[Line]) -> Iterator[Named]:
    return ((f"lines[{i}].warehouse", line.warehouse) for i, line in enumerate(lines) if line.warehouse)


def _skus_of(name: str, lines: Sequence[Booking] | Sequence[_OfSku]) -> Iterator[Named]:
    return ((f"{name}[{i}].sku", line.sku) for i, line in enumerate(lines))
