"""The hot store's clocks: the server's own, and the shard's, which never runs backwards."""

from redis.asyncio import Redis

from app.hotstore.keys import Keys


class HotClock:
    """Reads them, in seconds since 1970."""

    def __init__(self, client: Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def server_seconds(self) -> float:
        """Return what the server's clock says."""
        seconds, micros = await self._client.time()
        return float(seconds) + float(micros) / 1e6

    async def shard_seconds(self) -> float:
        """Return when the shard's last event was recorded; 0 if there was none."""
        return float(await self._client.hget(self._keys.meta, "at") or 0) / 1e3
