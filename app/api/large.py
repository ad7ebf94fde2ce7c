"""Large bodies: refused before they are taken apart if they hold too much, and checked in slices if they hold much.

What is wrong with a body is told, but never all of it: to find 40,000 errors takes half a second, and 100 are told.
"""

from collections.abc import Iterator
from typing import Any

from fastapi.exceptions import RequestValidationError

from app.api.problems import ERRORS_MAX, ProblemError, invalid
from app.turns import turn

VALUES_MAX = 30_000
"""Names and values in one body: 2,000 lines of the longest kind, and some more."""
VALUES_LARGE = 1_000
"""A body with more is taken apart in slices."""
NAMES_MAX = 64
"""Names in one object; no body has half as many."""
WINDOW_ITEMS = 25
"""Items of a list that are checked in one slice."""


def check_size(body: bytes) -> int:
    """Return about how many names and values a JSON body holds; raise `ProblemError` if they are too many."""
    count = body.count(b",") + body.count(b":")
    if count > VALUES_MAX and (count := _count(body)) > VALUES_MAX:
        raise ProblemError(invalid(("body", f"may hold {VALUES_MAX:,} names and values")))
    return count


def _count(body: bytes) -> int:
    """Count the names and values, but not the commas and colons that stand in texts."""
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    texts = plain.count(b'"') // 2
    if texts > VALUES_MAX:
        return texts
    return sum(part.count(b",") + part.count(b":") for part in plain.split(b'"')[::2])


async def check_large(field: Any, content: Any) -> None:
    """Check a large body a part at a time; raise `RequestValidationError` with the first errors, if there are any.

    `field` is what FastAPI checks the whole with afterwards, which finds only what concerns a list as a whole then.
    """
    found: list[dict[str, Any]] = []
    for first in range(0, _longest(content), WINDOW_ITEMS):
        async with turn():
            _, errors = field.validate(_window(content, first), loc=("body",))
            found += (error for error in errors if _place(error, content, first))
        if len(found) >= ERRORS_MAX:
            break
    if found:
        raise RequestValidationError(found)


def _lists(content: Any) -> Iterator[list[Any]]:
    if isinstance(content, list):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from _lists(value)


def _longest(content: Any) -> int:
    return max(map(len, _lists(content)), default=0)


def _window(content: Any, first: int) -> Any:
    """Return the content with a part of each long list: that from `first` on, or its beginning if it has none."""
    if isinstance(content, dict):
        return {name: _window(value, first) for name, value in content.items()}
    if isinstance(content, list) and len(content) > WINDOW_ITEMS:
        return content[first : first + WINDOW_ITEMS] or content[:WINDOW_ITEMS]
    return content


def _place(error: dict[str, Any], content: Any, first: int) -> bool:
    """Let an error name its place in the whole; whether it was not met in an earlier window."""
    is_new, places = first == 0, list(error["loc"])
    for i, part in enumerate(places[1:], 1):
        if isinstance(content, list) and isinstance(part, int):
            if len(content) > WINDOW_ITEMS and first < len(content):
                is_new, places[i] = True, part + first
            content = content[places[i]] if places[i] < len(content) else None
        elif isinstance(content, dict):
            content = content.get(part)
    error["loc"] = tuple(places)
    return is_new
