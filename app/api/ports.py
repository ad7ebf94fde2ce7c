"""What the HTTP side needs to know of the process it runs in."""

from typing import Protocol


class Health(Protocol):
    """Says whether this process can serve."""

    async def readiness(self) -> list[str]:
        """Return the reasons why it cannot, as sentences; none: it is ready."""

    def notes(self) -> list[str]:
        """Return what somebody should know though it can serve, as sentences."""
