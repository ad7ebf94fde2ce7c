"""What recovery does to the hot store: load the library, read what its memory claims, rebuild it, open its gate."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.addresses.reasons import redis_sentence
from app.domain.events import Position
from app.domain.outcomes import Outcome
from app.domain.words import LAYOUT
from app.errors import ConfigurationError, FencedError
from app.hotstore.keys import Keys
from app.hotstore.library import FAMILY, Library
from app.hotstore.records import Record, arguments, fingerprint, sha1, weight
from app.hotstore.rights import lacking
from app.hotstore.scan import glob
from app.hotstore.wire import one_connection

CHUNK = 500
"""Records in one call: a function that sets them holds Redis for less than ten milliseconds."""
CHUNK_TEXT = 200_000
"""And so many characters of them: a record may have thousands of lines or warehouses."""
MISLOADED = "what was loaded is not what is there: something else writes to this memory"
SCANNED = 5_000
"""Keys that one step of clearing looks at."""


T = TypeVar("T")


def by_weight(items: Iterable[T], weight: Callable[[T], int]) -> Iterator[list[T]]:
    """Gather items into lists of at most CHUNK, and of CHUNK_TEXT together, or one that is heavier by itself."""
    some: list[T] = []
    total = 0
    for item in items:
        heavy = weight(item)
        if some and (len(some) >= CHUNK or total + heavy > CHUNK_TEXT):
            yield some
            some, total = [], 0
        some.append(item)
        total += heavy
    if some:
        yield some


class Opening(NamedTuple):
    """How an epoch of this memory's began: the tip of its first event, and the position before it."""

    tip: str
    before: Position


@dataclass(frozen=True, slots=True)
class Claims:
    """What the memory says of itself, before anybody believes it."""

    present: bool
    epoch: int
    state: str
    layout: str
    tip: str
    last: Position | None
    run_id: str
    at_ms: int = 0
    home: str = ""
    installation: str = ""
    was_promoted: bool = False
    """It was a replica once, and may be one of a primary that still lives."""
    openings: Mapping[int, Opening] = field(default_factory=dict)
    """Of the newest epochs that this memory has opened itself."""


class Step(NamedTuple):
    """An event of the ledger, as the hot store takes it: `body` is its JSON, `records` what it left."""

    prev: str
    position: Position
    tip: str
    recorded_at_ms: int
    body: str
    records: Sequence[Record]


class Carried(NamedTuple):
    """Something to book: each part as JSON ('' for none), and the records that go with it."""

    lock_id: str = ""
    lock: str = ""
    document: str = ""
    moves: str = ""
    op: str = ""
    fingerprint: str = ""
    records: Sequence[Record] = ()


class Gate:
    """The fenced functions of recovery, on one shard."""

    def __init__(self, client: Redis, keys: Keys, library: Library) -> None:
        self._client = client
        self._keys = keys
        self._library = library

    async def load_library(self) -> None:
        """Load our functions, unless they are there."""
        try:
            await self._client.function_load(self._library.code)
        except ResponseError as error:
            if "already exists" not in str(error):
                raise ConfigurationError(
                    f"the functions cannot be loaded: {redis_sentence(error)}"
                ) from error

    async def is_open(self) -> bool:
        """Whether this memory was checked, as far as our library knows."""
        return await self._epoch_through(self._library.suffix) is not None

    async def adopt(self) -> bool:
        """Open all libraries of ours for the epoch that one of them has open; return whether this code's is open then.

        Processes of several versions so work side by side, whichever of them opened the gate. All calls go over one
        connection, so they reach one server process.
        """
        async with one_connection(self._client) as one:
            libraries = await one.function_list(library=f"{FAMILY}*")
            suffixes = [f"_{_name_of(library).removeprefix(FAMILY)}" for library in libraries]
            epochs = {suffix: await self._epoch_through(suffix, one) for suffix in suffixes}
            epoch = next(filter(None, epochs.values()), None)
            if epoch is None:
                return False
            for suffix in [suffix for suffix in suffixes if epochs[suffix] != epoch]:
                with contextlib.suppress(ResponseError):  # a version that cannot be opened so
                    reply = await one.fcall(f"adopt{suffix}", 1, self._keys.meta, epoch)
                    epochs[suffix] = epoch if reply[0] == Outcome.OPENED else None
        return epochs.get(self._library.suffix) == epoch

    async def is_loaded(self) -> bool:
        """Whether the functions of this code are there."""
        return await lacking(self._client, self._keys) is not None

    async def _epoch_through(self, suffix: str, client: Redis | None = None) -> str | None:
        try:
            reply = await (client or self._client).fcall_ro(f"read_due{suffix}", 1, self._keys.meta, "0")
        except ResponseError:
            return None
        return str(reply[1]) if reply[0] == Outcome.READ else None

    async def claims(self) -> Claims:
        """Read what the memory says of itself."""
        meta: dict[str, str] = await self._client.hgetall(self._keys.meta)  # type: ignore[assignment]
        info = await self._client.info("server")
        replication = await self._client.info("replication")
        last = meta.get("last", "")
        return Claims(
            present=bool(meta),
            epoch=int(meta.get("epoch", "0")),
            state=meta.get("state", ""),
            layout=meta.get("layout", ""),
            tip=meta.get("tip", ""),
            last=Position.parse(last) if last else None,
            run_id=str(info["run_id"]),
            at_ms=int(meta.get("at", "0")),
            home=meta.get("home", ""),
            installation=meta.get("installation", ""),
            openings=_openings(meta.get("epochs", "")),
            was_promoted=str(replication.get("master_replid2", "")).strip("0") != "",
        )

    def knows_layout(self, claims: Claims) -> bool:
        """Whether the keys are laid out as this code reads them."""
        return claims.layout == str(LAYOUT)

    async def open(
        self,
        *,
        fence: int,
        epoch: int,
        tip: str,
        run_id: str,
        outbox_max: int,
        installation: str = "",
        at_ms_max: int | None = None,
    ) -> Position:
        """Begin an epoch in a memory whose tip was compared, and return the position of its first event.

        `at_ms_max`: a shard's clock that is further ahead goes back to the server's, if that is not.
        """
        at_max = "" if at_ms_max is None else at_ms_max
        reply = await self._call("open", fence, epoch, tip, run_id, outbox_max, installation, at_max)
        if reply[0] == Outcome.NO_RIGHTS:
            raise ConfigurationError(f"the Redis user may not run '{reply[1]}', which the functions need")
        if reply[0] != Outcome.OPENED:
            raise FencedError(f"the gate was not opened: {reply[0]}")
        return Position.parse(reply[2])

    async def shut(self, *, fence: int) -> None:
        """Let no command write any more, through whatever library; what the memory holds stays as it is."""
        _loaded(await self._call("shut", fence))

    async def rebuild_begin(self, *, fence: int, tip: str, recorded_at_ms: int, last: str) -> None:
        """Forget what this memory, which is shut, believed of itself."""
        _loaded(await self._call("rebuild_begin", fence, tip, recorded_at_ms, last))

    async def clear(self, *, fence: int) -> None:
        """Remove every key of the shard but `meta`, a part of the walk over all keys at a time."""
        cursor, pattern = "0", glob(self._keys.tag)
        while True:
            reply = await self._call("rebuild_clear", fence, cursor, pattern, SCANNED)
            _loaded(reply)
            cursor = reply[1]
            if cursor == "0":
                return

    async def load_stock(self, lines: Sequence[str], *, fence: int) -> int:
        """Set SKUs, a line each (see `lua/repair.lua`), and return the sum of their counts as they are there.

        Raises `FencedError` unless all of them are.
        """
        texts = ["\n".join(some) for some in by_weight(lines, len)]
        total = 0
        for text, reply in zip(texts, await self._call_each("rebuild_stock", texts, fence), strict=True):
            if (reply[1], reply[3]) != (str(text.count("\n") + 1), sha1(text)):
                raise FencedError(MISLOADED)
            total += int(reply[2])
        return total

    async def load(self, records: Sequence[Record], *, fence: int) -> None:
        """Set records of a memory being rebuilt; raise `FencedError` unless all of them are there then.

        Locks that are held and expire become due again.
        """
        parts = list(by_weight(records, weight))
        # One argument of JSON: the client spends more on packing thousands of them than the hot store on the records.
        texts = [msgspec.json.encode(arguments(some)).decode() for some in parts]
        for some, reply in zip(parts, await self._call_each("rebuild_load", texts, fence), strict=True):
            if reply[1:] != [str(len(some)), fingerprint(some)]:
                raise FencedError(MISLOADED)

    async def mend(self, records: Sequence[Record], *, fence: int) -> None:
        """Set records of a memory that is shut."""
        for some in by_weight(records, weight):
            _loaded(await self._call("mend", fence, *arguments(some)))

    async def rebase(self, *, fence: int, tip: str, last: str, recorded_at_ms: int, state: str) -> None:
        """Let the memory continue the ledger, with an outbox that begins anew."""
        _loaded(await self._call("rebase", fence, tip, last, recorded_at_ms, state))

    async def replay(self, steps: Sequence["Step"], *, fence: int) -> None:
        """Apply events that the ledger has, in order; raise `FencedError` if one does not continue the memory."""
        pipeline = self._client.pipeline(transaction=False)
        for step in steps:
            head = [fence, step.prev, step.position, step.tip, step.recorded_at_ms, step.body]
            args = [str(item) for item in head] + arguments(step.records)
            pipeline.fcall(self._library.function("replay"), 1, self._keys.meta, *args)
        for reply in await pipeline.execute():
            if reply[0] not in {Outcome.REPLAYED, Outcome.UNCHANGED}:
                raise FencedError(f"an event could not be replayed: {reply[0]}")

    async def carry(self, steps: Sequence["Carried"], *, fence: int, epoch: int) -> None:
        """Book what the memory holds and the ledger does not know, an event each."""
        pipeline = self._client.pipeline(transaction=False)
        for step in steps:
            head = [
                fence,
                epoch,
                step.lock_id,
                step.lock,
                step.document,
                step.moves,
                step.op,
                step.fingerprint,
            ]
            args = [str(item) for item in head] + arguments(step.records)
            pipeline.fcall(self._library.function("carry"), 1, self._keys.meta, *args)
        for reply in await pipeline.execute():
            _loaded(reply)

    async def _call_each(self, function: str, texts: Sequence[str], fence: int) -> list[list[str]]:
        """Call a function with each of some texts, and return what it replied; they share an fsync."""
        pipeline = self._client.pipeline(transaction=False)
        for text in texts:
            pipeline.fcall(self._library.function(function), 1, self._keys.meta, str(fence), text)
        replies: list[list[str]] = await pipeline.execute()
        for reply in replies:
            _loaded(reply)
        return replies

    async def _call(self, function: str, *args: Any) -> list[str]:
        reply: list[str] = await self._client.fcall(
            self._library.function(function), 1, self._keys.meta, *[str(arg) for arg in args]
        )
        return reply


def _openings(text: str) -> dict[int, Opening]:
    """Read what `open` keeps (see `lua/recovery.lua`)."""
    found = {}
    for one in text.split():
        epoch, tip, before = one.split(":")
        found[int(epoch)] = Opening(tip, Position.parse(before or "0-0"))
    return found


def _loaded(reply: Sequence[str]) -> None:
    if reply[0] == Outcome.FENCED:
        raise FencedError("another recovery has taken over")


def _name_of(library: Any) -> str:
    """Read a library's name from FUNCTION LIST, which is a list in RESP2 and a map in RESP3."""
    if isinstance(library, dict):
        return str(library["library_name"])
    return str(library[library.index("library_name") + 1])
