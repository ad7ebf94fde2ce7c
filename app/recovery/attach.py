"""An API process beside a worker of another version: it opens the gate for its own functions, if it is open already.

Each version's functions know for themselves whether the memory was checked. The worker tells all that are loaded; but
a worker of before this rule told its own alone, and would leave a newer API waiting for a newer worker.
"""

import asyncio
from collections.abc import Callable

import structlog
from redis.exceptions import NoPermissionError, RedisError

from app.addresses.reasons import redis_sentence
from app.errors import SellableError
from app.hotstore.gate import Gate

_log = structlog.get_logger()

INTERVAL_SECONDS = 0.25


class Attach:
    """Looks again and again while the gate is shut for this code's functions, as `is_shut` says."""

    def __init__(self, gate: Gate, is_shut: Callable[[], bool]) -> None:
        self._gate = gate
        self._is_shut = is_shut
        self._was_refused = False

    async def keep(self) -> None:
        """Look; until cancelled."""
        while True:
            if self._is_shut() and not self._was_refused:
                await self._try()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def _try(self) -> None:
        try:
            if not await self._gate.is_open() and await self._gate.adopt():
                _log.info("gate.attached")
        except NoPermissionError as error:  # as good as it was: a worker of this version opens it
            self._was_refused = True
            _log.warning("gate.cannot_attach", why=redis_sentence(error))
        except (RedisError, OSError, SellableError):
            pass  # the server is away
        except Exception:  # noqa: BLE001 - the loop goes on; the log has the whole story
            _log.exception("gate.attach_failed")
