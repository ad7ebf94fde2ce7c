"""Two formats of a snapshot, each fed with bytes as they come: NDJSON and JSON; CSV is in csv_lines.py.

NDJSON: an object a line; the last may be `{"rows":N}`. It must end with the end of a line, so that a number that was
cut in two is never taken for a smaller one; with the count of rows a cut between two lines shows as well. A line that
cannot be read is named, and the others are compared. JSON ends where its braces end, and is taken as a whole or not.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Protocol, TypeVar

import ijson.backends.yajl2_c as parser
import msgspec
from ijson import sendable_list
from ijson.common import JSONError

from app.domain.codes import shown
from app.domain.words import QUANTITY_MAX
from app.operations.snapshots.spool import (
    Asked,
    Ending,
    SnapshotError,
    Spool,
    bounded,
    cut_off,
    sku_of,
    warehouse_of,
    wrong_warehouse,
)

LINE_BYTES_MAX = 4_096
ROWS_MAX = 20_000_000
"""More lines than any snapshot of 256 MiB can have."""
_LONE_SURROGATE = re.compile(
    rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]", re.DOTALL
)
"""Half of a pair of escapes; the parser would take it for a question mark."""
_PAIR_BYTES = 12
_COUNT_NAMES = frozenset({"sku", "on_hand", "damaged"})

T = TypeVar("T")


class Format(Protocol):
    """Reads one snapshot into a spool. Both methods raise `SnapshotError`."""

    def feed(self, chunk: bytes) -> None:
        """Read some more."""
        ...

    def finish(self) -> Asked:
        """End: check that it is whole, and return what is asked."""
        ...


class _Count(msgspec.Struct, forbid_unknown_fields=True):
    sku: str
    on_hand: int | float
    damaged: int | float | None = None
    warehouse: str | None = None


class _Named(msgspec.Struct):
    sku: str


class _Trailer(msgspec.Struct, forbid_unknown_fields=True):
    rows: int


class NdjsonLines:
    """An object a line."""

    _counts = msgspec.json.Decoder(_Count)
    _named = msgspec.json.Decoder(_Named)
    _trailers = msgspec.json.Decoder(_Trailer)

    def __init__(self, spool: Spool, asked: Asked) -> None:
        self._spool = spool
        self._asked = asked
        self._ending = Ending(spool, asked)
        self._rest = b""
        self._number = 0

    def feed(self, chunk: bytes) -> None:
        """Read the lines that are complete."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._read(line.removesuffix(b"\r"))
        if len(self._rest) > LINE_BYTES_MAX:
            raise SnapshotError((f"line {self._number + 1}", f"is longer than {LINE_BYTES_MAX} bytes"))

    def finish(self) -> Asked:
        """Check that the last line is whole, and that none is missing."""
        if self._rest:
            self._ending.check(self._number + 1)
            if not self._is_trailer(self._rest):
                raise cut_off(f"line {self._number + 1} does not end: the file seems to be cut off")
        self._spool.finish(self._ending.asked)
        return self._asked

    def _read(self, line: bytes) -> None:
        self._number += 1
        if len(line) > LINE_BYTES_MAX:
            raise SnapshotError((f"line {self._number}", f"is longer than {LINE_BYTES_MAX} bytes"))
        if not line:
            return
        self._ending.check(self._number)
        try:
            self._row(line)
        except SnapshotError:
            raise
        except ValueError as error:
            self._spool.skip(self._number, str(error), self._sku_in(line))

    def _row(self, line: bytes) -> None:
        if self._number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if self._is_trailer(line):
            return
        count = _decoded(line, self._counts)
        if (count.warehouse or self._asked.warehouse) != self._asked.warehouse:
            raise wrong_warehouse(f"line {self._number}", count.warehouse or "", self._asked.warehouse)
        damaged = None if count.damaged is None else _whole(count.damaged, "damaged")
        self._spool.add(self._number, sku_of(count.sku), _whole(count.on_hand, "on_hand"), damaged)

    def _is_trailer(self, line: bytes) -> bool:
        if not line.lstrip(b" {\t").startswith(b'"rows"'):
            return False
        try:
            rows = self._trailers.decode(line).rows
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        self._ending.note(rows)
        return True

    def _sku_in(self, line: bytes) -> str | None:
        """The SKU of a line that cannot be read; None if not even that can."""
        try:
            return sku_of(self._named.decode(line).sku)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
            return None


def _decoded(line: bytes, decoder: "msgspec.json.Decoder[_Count]") -> _Count:
    # The decoder takes the last of two; no SKU has a quote in it, so names can be counted as they are.
    if any(line.count(name) > 1 for name in (b'"sku"', b'"on_hand"', b'"damaged"', b'"warehouse"')):
        raise ValueError("has a member twice")
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"is not a count: {error}") from None


class JsonBody:
    """One object: {"warehouse", "as_of", "counts": [{"sku", "on_hand", "damaged"?}], "rows"?}, in any order."""

    def __init__(
        self,
        spool: Spool,
        time_ms: Callable[[str], int],
        asked: Asked | None = None,
        *,
        is_partial: bool = False,
        adds_up: bool = False,
    ) -> None:
        """`asked`: what was said beside the body, which must agree with it; the rest cannot be said in it."""
        self._how = (is_partial, adds_up)
        self._spool = spool
        self._time_ms = time_ms
        spool.place, spool.takes_lines = "counts[{}]", False
        self._beside = asked
        self._events = sendable_list()
        self._parser = parser.basic_parse_coro(self._events)
        self._tail = b""
        self._head: dict[str, object] = {}
        self._name = ""
        self._depth = 0
        self._count: dict[str, object] | None = None
        self._index = -1

    def feed(self, chunk: bytes) -> None:
        """Read some more."""
        self._refuse_half_pairs(chunk)
        try:
            self._parser.send(chunk)
        except JSONError as error:
            raise _not_json(error) from None
        except UnicodeDecodeError:  # the parser can be ahead of the look at pairs
            raise _half_pair() from None
        self._take()

    def _refuse_half_pairs(self, chunk: bytes) -> None:
        """Look at each place once all around it is there: the tail of what came before is looked at again."""
        text = self._tail + chunk
        begun = len(self._tail) - _PAIR_BYTES
        for found in _LONE_SURROGATE.finditer(text):
            if begun < found.start() <= len(text) - _PAIR_BYTES:
                raise _half_pair()
        self._tail = text[-2 * _PAIR_BYTES :]

    def finish(self) -> Asked:
        """Check that it is whole, and what it says."""
        self._refuse_half_pairs(b" " * _PAIR_BYTES)
        try:
            self._parser.close()
        except JSONError as error:
            if "premature" in str(error) or "incomplete" in str(error).lower():
                raise cut_off("the JSON text ends before its last brace") from None
            raise _not_json(error) from None
        self._take()
        if self._depth or "counts" not in self._head:
            raise SnapshotError(("counts", "Field required"))
        asked = self._asked()
        self._spool.whole = True
        self._spool.finish(asked)
        return asked

    def _asked(self) -> Asked:
        for name in ("warehouse", "as_of"):
            if name not in self._head:
                raise SnapshotError((name, "Field required"))
            if not isinstance(self._head[name], str):
                raise SnapshotError((name, "must be a text"))
        rows = _integer(self._head.get("rows"))
        if rows is not None and (type(rows) is not int or not 0 <= rows <= ROWS_MAX):
            raise SnapshotError(("rows", "must be a whole number"))
        asked = Asked(
            _named("warehouse", warehouse_of, str(self._head["warehouse"])),
            _named("as_of", self._time_ms, str(self._head["as_of"])),
            rows if isinstance(rows, int) else None,
            *self._how,
        )
        return self._agreed(asked)

    def _agreed(self, asked: Asked) -> Asked:
        beside = self._beside
        if beside is None:
            return asked
        if beside.warehouse != asked.warehouse:
            raise wrong_warehouse("warehouse", asked.warehouse, beside.warehouse)
        if beside.as_of != asked.as_of:
            raise SnapshotError(("as_of", "differs from what the request says beside the body"))
        if asked.rows is not None and beside.rows not in {None, asked.rows}:
            raise cut_off(f"the body says {asked.rows} lines, the request {beside.rows}")
        return asked if beside.rows is None else beside

    def _take(self) -> None:
        for event, value in self._events:
            self._step(event, value)
        del self._events[:]

    def _step(self, event: str, value: object) -> None:
        """One token: depth 1 is the body, 2 the list, 3 a count."""
        if event == "map_key":
            self._key(str(value))
        elif event in {"start_map", "start_array"}:
            self._open(event)
        elif event in {"end_map", "end_array"}:
            self._close()
        elif self._depth == 1:
            self._head[self._name] = value
        elif self._depth == 3 and self._count is not None:
            self._count[self._name] = value
        else:
            raise SnapshotError((self._place(), "must be an object"))

    def _key(self, name: str) -> None:
        known = {"warehouse", "as_of", "counts", "rows"} if self._depth == 1 else _COUNT_NAMES
        holder = self._head if self._depth == 1 else self._count
        field = name if self._depth == 1 else f"{self._place()}.{name}"
        if name not in known:
            raise SnapshotError((field, "Extra inputs are not permitted"))
        if holder is not None and name in holder:
            raise SnapshotError((field, "is given more than once"))
        self._name = name

    def _open(self, event: str) -> None:
        wanted = ("start_map", "start_array", "start_map")
        if self._depth >= len(wanted) or event != wanted[self._depth]:
            if self._depth == 0:
                raise SnapshotError(
                    ("body", 'must be an object: {"warehouse": …, "as_of": …, "counts": […]}')
                )
            raise SnapshotError((self._place(), "must be something else than a list or object here"))
        if self._depth == 1:
            if self._name != "counts":
                raise SnapshotError((self._name, "must not be a list"))
            self._head["counts"] = True
        if self._depth == 2:
            self._index += 1
            self._count = {}
        self._depth += 1

    def _close(self) -> None:
        self._depth -= 1
        if self._depth == 2 and self._count is not None:
            try:
                self._add(self._count)
            except ValueError as error:
                self._spool.complain(f"counts[{self._index}]", str(error))
            self._count = None

    def _add(self, count: dict[str, object]) -> None:
        for name in ("sku", "on_hand"):
            if name not in count:
                raise ValueError(f"has no {name}")
        if not isinstance(count["sku"], str):
            raise ValueError("sku must be a text")  # noqa: TRY004 - a wrong line, not a wrong call
        damaged = count.get("damaged")
        self._spool.add(
            self._index,
            sku_of(count["sku"]),
            _whole(count["on_hand"], "on_hand"),
            None if damaged is None else _whole(damaged, "damaged"),
        )

    def _place(self) -> str:
        return "body" if self._depth < 2 else f"counts[{max(self._index, 0)}]"


def _integer(value: object) -> object:
    """Return 12 for 12.0, as JSON has no other numbers; anything else unchanged."""
    if isinstance(value, float | Decimal):
        number = float(value)
        return int(number) if number.is_integer() and abs(number) <= QUANTITY_MAX else value
    return value


def _whole(value: object, noun: str) -> int:
    """Return a count, or raise `ValueError`."""
    value = _integer(value)
    if type(value) is not int:
        raise ValueError(f"{noun} {shown(str(value))} is not a whole number")
    return bounded(value, noun)


def _named(name: str, check: Callable[[str], T], text: str) -> T:
    try:
        return check(text)
    except ValueError as error:
        raise SnapshotError((name, str(error))) from None


def _half_pair() -> SnapshotError:
    return SnapshotError(("body", "has half of a surrogate pair, which is no character"))


def _not_json(error: Exception) -> SnapshotError:
    said = str(error).strip().splitlines() or [""]
    return SnapshotError(("body", f"is not JSON: {said[0]}"))
