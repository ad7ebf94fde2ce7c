"""`sellable explain SKU`: where every unit is, or was at a time, and the moves that brought it there."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec

from app.commands.progress import say
from app.commands.service import find_service
from app.domain.past import Explanation, PastMove, TooOld, Unknown
from app.domain.times import time_text
from app.errors import NotReadyError, OutcomeUnknownError, SellableError


async def explain(
    *,
    sku: str,
    as_of: int | None,
    moves: int,
    as_json: bool,
    data_dir: Path,
    open_stores: Callable[[str, str], AbstractAsyncContextManager[Any]],
) -> int:
    """Print the places and the newest moves. `SellableError` for an unknown SKU, or a time before the ledger."""
    service = find_service(data_dir, "redis", "database")
    async with open_stores(service.redis, service.database) as stores:
        told = await _ask(stores.operations().past, sku, as_of, moves)
    if as_json:
        from app.api.views import of_explanation, of_move  # noqa: PLC0415 - the same as over HTTP; a heavy import

        print(msgspec.json.encode(of_explanation(told, list(map(of_move, told.moves)), None)).decode())
    else:
        _print(told, moves)
    return 1 if told.total else 0


async def _ask(past: Any, sku: str, as_of: int | None, moves: int) -> Explanation:
    wait = True
    try:
        await past.wait()
    except (NotReadyError, OutcomeUnknownError) as error:
        say(f"as far as the ledger is, for the hot store cannot be asked: {error}")
        wait = False
    match await past.explain(sku, as_of, None, moves, wait=wait):
        case Explanation() as told:
            return told
        case Unknown():
            raise SellableError(f"no SKU is called {sku}")
        case TooOld(reach):
            raise SellableError(f"the ledger reaches back to {time_text(reach.since)} only")
        case other:
            raise TypeError(other)


def _print(told: Explanation, moves_max: int) -> None:
    print(f"SKU {told.sku}, version {told.version}")
    for place in told.places:
        if place.units or place.place == "available":
            where = f"{place.warehouse} {place.place}" if place.warehouse else place.place
            print(f"{place.units:>12}  {where}")
    print(
        f"{told.total:>12}  in all" + (": the books are wrong, see `sellable verify`" if told.total else "")
    )
    print()
    for move in told.moves:
        print(_line(move))
    if len(told.moves) == moves_max:
        print("… and older moves (see --moves, or over HTTP the history)")


def _line(move: PastMove) -> str:
    there = f"{move.to_warehouse or move.warehouse} {move.target}"
    about = f" of {move.document.kind} {move.document.id}" if move.document else ""
    why = f" ({move.reason})" if move.reason else ""
    late = "" if move.occurred_at == move.recorded_at else f", told {time_text(move.recorded_at)}"
    return (
        f"{time_text(move.occurred_at)}  {move.quantity:>9}  {move.warehouse} {move.source} -> {there}"
        f"  {move.cause or 'its event is gone'}{about}{why}{late}"
    )
