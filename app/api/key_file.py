"""SELLABLE_API_KEYS_FILE while we run: keys come and go without a restart."""

import asyncio
from collections.abc import Callable

import structlog

from app.api.api_keys import Keys
from app.api.auth import ApiKeys
from app.errors import ConfigurationError

_log = structlog.get_logger()

READ_SECONDS = 1.0


class KeyFile:
    """Reads the keys again every second. A file that cannot be used changes nothing: the keys of before hold."""

    def __init__(self, keys: ApiKeys, load: Callable[[], Keys]) -> None:
        self._keys = keys
        self._load = load
        self._problem = ""

    def notes(self) -> list[str]:
        """Return what somebody should know."""
        return [f"{self._problem}; the keys that were read before hold"] if self._problem else []

    async def keep(self) -> None:
        """Read them again and again, until cancelled."""
        while True:
            await asyncio.sleep(READ_SECONDS)
            await self.refresh()

    async def refresh(self) -> None:
        """Read them now."""
        try:
            keys = await asyncio.to_thread(self._load)  # a file may lie on a slow disk
        except ConfigurationError as error:
            if self._problem != str(error):
                self._problem = str(error)
                _log.error("keys.refused", why=self._problem)
            return
        self._problem = ""
        before = self._keys.names
        if self._keys.replace(keys):
            names = self._keys.names
            _log.info("keys.read", keys=len(keys), new=sorted(names - before), gone=sorted(before - names))
