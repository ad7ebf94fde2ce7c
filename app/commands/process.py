"""What the long-running processes share: their loop, and a collector that keeps out of the way."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")

GC_THRESHOLDS = (50_000, 20, 50)
"""A request or an event leaves few cycles behind; the defaults would look for them every 700 objects."""


def run_long(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def settle_garbage() -> None:
    """Leave what lives as long as the process out of the collector's sight, and let it look less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
