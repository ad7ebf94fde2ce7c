"""Long work beside the short requests of others: in slices, and waiting that a late loop does not end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")
R = TypeVar("R")

SLICE_ITEMS = 100
"""Made in one slice: a millisecond's work, or two."""
TICK_SECONDS = 0.05
CALLS_MAX = 96
"""Calls of long work that are under way in a loop at once: what they cost comes in one piece, when their replies do."""

_Locks = WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]
"""One lock in each loop: there is one loop in a process, more in tests."""
_turns: _Locks = WeakKeyDictionary()
"""Whose turn it is."""
_calls: _Locks = WeakKeyDictionary()
"""Whose calls are under way."""


def _of_this_loop(locks: _Locks) -> asyncio.Lock:
    return locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())


@asynccontextmanager
async def turn() -> AsyncIterator[None]:
    """Wait until no other long work is done in this turn of the loop; what is inside must not wait for anything.

    However many callers have long work, a short request waits for one slice of one of them.
    """
    async with _of_this_loop(_turns):
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


async def gather_few(calls: Iterable[Coroutine[Any, Any, R]]) -> list[R | BaseException]:
    """Begin calls in their order, a few at a time of all long work, and return what came of each."""
    answers: list[R | BaseException] = []
    rest = iter(calls)
    while few := list(islice(rest, CALLS_MAX)):
        async with _of_this_loop(_calls):
            answers += await asyncio.gather(*few, return_exceptions=True)
    return answers


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
