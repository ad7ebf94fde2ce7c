"""`sellable ledger check`: whether the ledger is whole in itself."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

from app.commands.progress import meter
from app.commands.service import find_service

DIFFERS = 1
SHOWN_MAX = 1_000


class Check(Protocol):
    """What finds faults, and counts."""

    events: int
    unsealed: int

    def faults(self) -> AsyncIterator[Any]:
        """Yield every fault: a tuple with names, whose text is a line for a person."""
        ...


class Ledger(Protocol):
    """What this command needs."""

    def check(self, progress: Callable[[str, int], None]) -> Check:
        """Return what finds faults."""
        ...


OpenLedger = Callable[[str], AbstractAsyncContextManager[Ledger]]


async def ledger(*, as_json: bool, data_dir: Path, open_ledger: OpenLedger) -> int:
    """Print every fault (the first 1,000, then how many more); return 0, or 1 if there is any."""
    service = find_service(data_dir, "database")
    count = 0
    shown: list[Any] = []
    async with open_ledger(service.database) as opened:
        with meter("checking", 0, "rows") as display:
            check = opened.check(lambda _what, done: display.update(done))
            async for fault in check.faults():
                count += 1
                if len(shown) < SHOWN_MAX:
                    shown.append(fault)
    if as_json:
        items = [item._asdict() for item in shown]
        told = {"faults": count, "events": check.events, "unsealed": check.unsealed, "items": items}
        print(json.dumps(told, ensure_ascii=False))
    else:
        _print(shown, count, check)
    return DIFFERS if count else 0


def _print(shown: list[Any], count: int, check: Check) -> None:
    for item in shown:
        print(item)
    if count > len(shown):
        print(f"… and {count - len(shown)} more")
    sealed = f", {check.unsealed} of them from before there were seals" if check.unsealed else ""
    print(f"{check.events} events{sealed}: " + (f"{count} faults" if count else "the ledger is whole"))
