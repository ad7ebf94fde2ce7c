"""Long work beside the short requests of others: in slices, and waiting that a late loop does not end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import islice
from typing import TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")
R = TypeVar("R")

SLICE_ITEMS = 100
"""Made in one slice: a millisecond's work, or two."""
TICK_SECONDS = 0.05

_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
"""Whose turn it is in each loop: there is one of them in a process, more in tests."""


@asynccontextmanager
async def turn() -> AsyncIterator[None]:
    """Wait until no other long work is done in this turn of the loop; what is inside must not wait for anything.

    However many callers have long work, a short request waits for one slice of one of them.
    """
    loop = asyncio.get_running_loop()
    lock = _turns.get(loop)
    if lock is None:
        lock = _turns[loop] = asyncio.Lock()
    async with lock:
        await asyncio.sleep(0)
        yield


async def in_turns(items: Iterable[T], make: Callable[[T], R], *, slice_items: int = SLICE_ITEMS) -> list[R]:
    """Return what `make` makes of each item, as a list comprehension would; others get their turn in between."""
    made: list[R] = []
    rest = iter(items)
    while True:
        async with turn():
            before = len(made)
            made += map(make, islice(rest, slice_items))
        if len(made) - before < slice_items:
            return made


async def within(seconds: float, answer: Awaitable[T]) -> T:
    """Return an answer, or raise `TimeoutError` if it has not come in time.

    Time in which this loop did not run does not count: it is not the other side that was silent then.
    """
    task = asyncio.ensure_future(answer)
    try:
        for _ in range(max(1, round(seconds / TICK_SECONDS))):
            done, _ = await asyncio.wait({task}, timeout=TICK_SECONDS)
            if done:
                return task.result()
        raise TimeoutError
    finally:
        task.cancel()
