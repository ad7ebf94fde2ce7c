"""Logs of what waits: that it begins, each reason once, and that it goes on. Never a line with every try."""

import time
from typing import Any

REASONS_MAX = 10
"""Of one wait: reasons that say something new each time would be a line with every try."""


class Waits:
    """Logs `<name>.waits` and `<name>.goes_on` to a structlog logger, with `fields` in each."""

    def __init__(self, log: Any, name: str, **fields: Any) -> None:
        self._log = log
        self._name = name
        self._fields = fields
        self._reasons: set[str] = set()
        self._since = 0.0

    def because(self, why: str) -> None:
        """Note that it waits, and why."""
        if not self._reasons:
            self._since = time.monotonic()
        if why not in self._reasons and len(self._reasons) < REASONS_MAX:
            self._reasons.add(why)
            self._log.warning(f"{self._name}.waits", **self._fields, why=why)

    def over(self) -> None:
        """Note that it goes on, if it has waited."""
        if self._reasons:
            self._reasons.clear()
            seconds = round(time.monotonic() - self._since, 1)
            self._log.info(f"{self._name}.goes_on", **self._fields, seconds=seconds)
