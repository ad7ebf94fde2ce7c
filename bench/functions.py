"""Our own functions as bytes for Redis: built by the hot store itself, so that they are what the API sends."""

from collections.abc import Coroutine, Sequence
from typing import Any, NoReturn

import hiredis

from app.domain.commands import Line as LockLine
from app.domain.commands import Lock, Opening, OpeningRow
from app.hotstore.keys import Keys
from app.hotstore.library import library
from app.hotstore.store import HotStore
from bench.load import ID_MARK, split_at_id

LOCK_TTL_MS = 900_000
Call = tuple[Any, ...]


class _CallMadeError(Exception):
    """Carries a call out of the hot store instead of sending it."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call


class _Recorder:
    """Stands where the connection stands."""

    async def call(
        self, function: str, key: str, args: Sequence[str | int], *, read: bool = False
    ) -> NoReturn:
        raise _CallMadeError(("FCALL_RO" if read else "FCALL", function, 1, key, *args))


class Functions:
    """The calls of one epoch."""

    def __init__(self, epoch: str) -> None:
        self._hot = HotStore(_Recorder(), Keys(), library())  # type: ignore[arg-type]
        self._hot.epoch = epoch

    def lock(self, skus: Sequence[str]) -> tuple[bytes, bytes]:
        """A lock of one unit of each SKU, before and after its id."""
        lines = tuple(LockLine(sku, 1) for sku in skus)
        call = _recorded(self._hot.execute(Lock(ID_MARK, lines, ttl_ms=LOCK_TTL_MS)))
        return split_at_id(hiredis.pack_command(call))

    def opening(self, rows: Sequence[OpeningRow]) -> Call:
        """Stock for some SKUs, absolutely."""
        return _recorded(self._hot.execute(Opening(rows)))


def words_of(request: tuple[bytes, bytes], lock_id: str) -> list[bytes]:
    """A packed call with this id, as its words again."""
    reader = hiredis.Reader()
    reader.feed(request[0] + lock_id.encode() + request[1])
    words: list[bytes] = reader.gets()
    return words


def _recorded(method: Coroutine[Any, Any, Any]) -> Call:
    try:
        method.send(None)
    except _CallMadeError as made:
        return made.call
    finally:
        method.close()
    raise AssertionError("the hot store made no call")
