"""Reading the hot store's memory as it is, for comparisons: raw records, and walks over all keys of a kind."""

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from redis.asyncio import Redis

from app.hotstore.keys import Keys
from app.hotstore.replies import Stock


def glob(prefix: str) -> str:
    """Return the pattern of the keys that begin so."""
    return f"{prefix}*".replace("[", "\\[")


class Scan:
    """Reads of one shard; nothing is changed."""

    JSON_FIELDS = frozenset({"v", "x", "n", "q", "o", "y", "r", "i"})
    """The fields of locks and transfers that are JSON; the others are text."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def stock(self, skus: Sequence[str]) -> dict[str, Stock]:
        """Return those of the SKUs that are there."""
        found = await self._hashes([self._keys.stock(sku) for sku in skus])
        return {
            sku: Stock(sku, [item for pair in fields.items() for item in pair])
            for sku, fields in zip(skus, found, strict=True)
            if fields
        }

    async def locks(self, lock_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the records of those of the locks that are there, fields as the ledger has them."""
        return await self._records(self._keys.lock, lock_ids)

    async def transfers(self, transfer_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return the records of those of the transfers that are there, fields as the ledger has them."""
        return await self._records(self._keys.transfer, transfer_ids)

    def all_skus(self, *, count: int) -> AsyncIterator[list[str]]:
        """Walk over all SKUs, about `count` at a time; one may come twice."""
        return self._walk(self._keys.stock(""), count)

    def all_locks(self, *, count: int) -> AsyncIterator[list[str]]:
        """Walk over all locks, about `count` at a time; one may come twice."""
        return self._walk(self._keys.lock(""), count)

    def all_transfers(self, *, count: int) -> AsyncIterator[list[str]]:
        """Walk over all transfers, about `count` at a time; one may come twice."""
        return self._walk(self._keys.transfer(""), count)

    def all_ops(self, *, count: int) -> AsyncIterator[list[str]]:
        """Walk over all used ids, about `count` at a time; one may come twice."""
        return self._walk(self._keys.op(""), count)

    def all_counted(self, *, count: int) -> AsyncIterator[list[str]]:
        """Walk over all SKUs that were counted, about `count` at a time; one may come twice."""
        return self._walk(self._keys.counted(""), count)

    def all_sources(self, *, count: int) -> AsyncIterator[list[str]]:
        """Walk over all sources of numbered events, about `count` at a time; one may come twice."""
        return self._walk(self._keys.sequences(""), count)

    async def counted(self, skus: Sequence[str]) -> dict[str, dict[str, list[list[int]]]]:
        """Return when SKUs were counted: by warehouse [time in ms, 1 if damaged ones too], oldest first."""
        found = await self._hashes([self._keys.counted(sku) for sku in skus])
        return {
            sku: {warehouse: json.loads(text) for warehouse, text in fields.items()}
            for sku, fields in zip(skus, found, strict=True)
        }

    async def sequences(self, sources: Sequence[str]) -> dict[str, dict[str, int]]:
        """Return how far sources are: by warehouse the number of the last event."""
        found = await self._hashes([self._keys.sequences(source) for source in sources])
        return {
            source: {warehouse: int(number) for warehouse, number in fields.items()}
            for source, fields in zip(sources, found, strict=True)
        }

    def all_documents(self, *, count: int) -> AsyncIterator[list[str]]:
        """Walk over all families of documents, about `count` at a time; one may come twice."""
        return self._walk(self._keys.document(""), count)

    async def documents(self, families: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return what reporters said, as text by SKU, of those of the families that are there."""
        found = await self._hashes([self._keys.document(family) for family in families])
        return {family: sums for family, sums in zip(families, found, strict=True) if sums}

    async def ops(self, ops: Sequence[str]) -> dict[str, str]:
        """Return what those of the ids that are there were used for."""
        pipeline = self._client.pipeline(transaction=False)
        for op in ops:
            pipeline.get(self._keys.op(op))
        texts: list[str | None] = await pipeline.execute()
        return {op: text for op, text in zip(ops, texts, strict=True) if text is not None}

    async def _records(self, key: Callable[[str], str], ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        found = await self._hashes([key(one) for one in ids])
        return {
            one: {
                name: json.loads(text) if name in self.JSON_FIELDS else text for name, text in fields.items()
            }
            for one, fields in zip(ids, found, strict=True)
            if fields
        }

    async def _walk(self, prefix: str, count: int) -> AsyncIterator[list[str]]:
        cursor = 0
        while True:
            found: Any = await self._client.scan(cursor, match=glob(prefix), count=count)
            cursor, keys = found
            if keys:
                yield [key.removeprefix(prefix) for key in keys]
            if int(cursor) == 0:
                return

    async def _hashes(self, keys: Sequence[str]) -> list[dict[str, str]]:
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.hgetall(key)
        found: list[dict[str, str]] = await pipeline.execute()
        return found
