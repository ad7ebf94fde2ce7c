"""What recovery does to the hot store: load the library, read what its memory claims, rebuild it, open its gate."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.domain.events import Position
from app.domain.outcomes import Outcome
from app.domain.words import LAYOUT
from app.errors import ConfigurationError, FencedError
from app.hotstore.keys import Keys
from app.hotstore.library import FAMILY, Library

CHUNK = 500
"""Records sent in one go while rebuilding."""


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
                raise ConfigurationError(f"the functions cannot be loaded: {error}") from error

    async def is_open(self) -> bool:
        """Whether this memory was checked, as far as our library knows."""
        return await self._epoch_through(self._library.suffix) is not None

    async def adopt(self) -> bool:
        """Open for the epoch that another library of the same server process has open, if one has.

        Both calls go over one connection, so they reach one process.
        """
        async with self._client.client() as one:
            for library in await one.function_list(library=f"{FAMILY}*"):
                suffix = _name_of(library).removeprefix(FAMILY)
                epoch = await self._epoch_through(f"_{suffix}", one)
                if epoch and suffix != self._library.suffix[1:]:
                    reply = await one.fcall(self._library.function("adopt"), 1, self._keys.meta, epoch)
                    return bool(reply[0] == Outcome.OPENED)
        return False

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
        last = meta.get("last", "")
        return Claims(
            present=bool(meta),
            epoch=int(meta.get("epoch", "0")),
            state=meta.get("state", ""),
            layout=meta.get("layout", ""),
            tip=meta.get("tip", ""),
            last=Position.parse(last) if last else None,
            run_id=str(info["run_id"]),
        )

    def knows_layout(self, claims: Claims) -> bool:
        """Whether the keys are laid out as this code reads them."""
        return claims.layout == str(LAYOUT)

    async def open(self, *, fence: int, epoch: int, tip: str, run_id: str, outbox_max: int) -> Position:
        """Begin an epoch in a memory whose tip was compared, and return the position of its first event."""
        reply = await self._call("open", fence, epoch, tip, run_id, outbox_max)
        if reply[0] == Outcome.NO_RIGHTS:
            raise ConfigurationError(f"the Redis user may not run '{reply[1]}', which the functions need")
        if reply[0] != Outcome.OPENED:
            raise FencedError(f"the gate was not opened: {reply[0]}")
        return Position.parse(reply[2])

    async def shut(self, *, fence: int) -> None:
        """Let nobody write any more; the memory stays as it is."""
        _loaded(await self._call("shut", fence))

    async def rebuild_begin(self, *, fence: int, tip: str, recorded_at_ms: int, last: str) -> None:
        """Shut the gate and forget what this memory believed of itself."""
        _loaded(await self._call("rebuild_begin", fence, tip, recorded_at_ms, last))

    async def clear(self, *, fence: int) -> None:
        """Remove every key of the shard but `meta`, in chunks."""
        batch: list[str] = []
        async for key in self._client.scan_iter(match=_glob(self._keys.tag), count=1000):
            if key != self._keys.meta:
                batch.append(key)
            if len(batch) >= CHUNK:
                _loaded(await self._call("rebuild_clear", fence, *batch))
                batch = []
        if batch:
            _loaded(await self._call("rebuild_clear", fence, *batch))

    async def load_stock(self, rows: Sequence[tuple[str, Mapping[str, int]]], *, fence: int) -> None:
        """Set the fields of SKUs."""
        await self._load("rebuild_stock", ((sku, *_flat(fields)) for sku, fields in rows), fence)

    async def load_locks(self, rows: Sequence[tuple[str, Mapping[str, str]]], *, fence: int) -> None:
        """Set the records of locks; held ones that expire become due again."""
        await self._load(
            "rebuild_lock",
            (
                (lock_id, record.get("x", "") if record["s"] == "held" else "", *_flat(record))
                for lock_id, record in rows
            ),
            fence,
        )

    async def load_transfers(self, rows: Sequence[tuple[str, Mapping[str, str]]], *, fence: int) -> None:
        """Set the records of transfers."""
        await self._load("rebuild_transfer", ((name, *_flat(record)) for name, record in rows), fence)

    async def load_ops(self, rows: Sequence[tuple[str, str]], *, fence: int) -> None:
        """Set what ids were used for."""
        await self._load("rebuild_op", rows, fence)

    async def load_counts(self, rows: Sequence[tuple[str, str, str]], *, fence: int) -> None:
        """Set when SKUs were counted: sku, warehouse, counts as the hot store has them."""
        await self._load("rebuild_counted", rows, fence)

    async def load_sequences(self, rows: Sequence[tuple[str, str, int]], *, fence: int) -> None:
        """Set how far sources are: source, warehouse, number."""
        await self._load("rebuild_sequence", rows, fence)

    async def _load(self, function: str, rows: Iterable[Sequence[Any]], fence: int) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for row in rows:
            pipeline.fcall(self._library.function(function), 1, self._keys.meta, str(fence), *row)
        for reply in await pipeline.execute():
            _loaded(reply)

    async def _call(self, function: str, *args: Any) -> list[str]:
        reply: list[str] = await self._client.fcall(
            self._library.function(function), 1, self._keys.meta, *[str(arg) for arg in args]
        )
        return reply


def _loaded(reply: Sequence[str]) -> None:
    if reply[0] == Outcome.FENCED:
        raise FencedError("another recovery has taken over")


def _flat(fields: Mapping[str, Any]) -> list[Any]:
    return [item for pair in fields.items() for item in pair]


def _glob(tag: str) -> str:
    return f"{tag}*".replace("[", "\\[")


def _name_of(library: Any) -> str:
    """Read a library's name from FUNCTION LIST, which is a list in RESP2 and a map in RESP3."""
    if isinstance(library, dict):
        return str(library["library_name"])
    return str(library[library.index("library_name") + 1])
