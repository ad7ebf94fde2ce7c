"""The strict edge: what a request may look like before anything believes it."""

import json
import re
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, get_args, get_origin
from urllib.parse import parse_qsl, unquote_to_bytes

from fastapi import Request, Response
from fastapi.routing import APIRoute

from app.api.auth import Needs
from app.api.large import NAMES_MAX, VALUES_LARGE, check_large, check_size
from app.api.media import Media, check_encoding, media_of
from app.api.problems import Problem, ProblemError, field_of, invalid
from app.turns import turn

BODY_BYTES_MAX = 1_048_576
PARAMETERS_MAX = 1_000
"""Parameters in one query string."""
DIGITS_MAX = 20
"""Longer integers are beyond every limit anyway; Python refuses to read those of 5,000 digits."""

_BEYOND: int = 10**DIGITS_MAX
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_SURROGATE = re.compile("[\ud800-\udfff]")
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


def decode_percent(text: bytes) -> str:
    """Return percent-encoded text decoded, or raise `ValueError`: each % must begin an escape, of UTF-8."""
    if _BAD_ESCAPE.search(text):
        raise ValueError("has a % that begins no escape such as %2F")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None


# Bodies


async def read_body(request: Request, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """Return the body; stop reading, and raise `ProblemError`, once it is larger than 1 MiB, or `bytes_max`."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:DIGITS_MAX]) > bytes_max:
        raise too_large(bytes_max)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise too_large(bytes_max)
    return bytes(body)


def too_large(bytes_max: int, what: str = "a body") -> ProblemError:
    """Return the problem of a body with more bytes than it may have."""
    # No `Connection: close`: with unread bytes it becomes a reset, which takes the answer with it. The server
    # throws away what still comes.
    return ProblemError(Problem("payload_too_large", f"{what} may have {bytes_max:,} bytes"))


def parse_json(body: bytes) -> Any:
    """Return the body's content; raise `ProblemError` for what is not JSON, or only almost.

    Refused: text that is not UTF-8, duplicate names, lone surrogates, nesting without end. An integer of more
    than 20 digits becomes another one as large as no limit allows; NaN and Infinity stay floats, which no
    field takes. So both are refused with their field. To JSON Schema `1.0` is an integer, so it is one here.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise ProblemError(invalid(("body", f"is not UTF-8, from byte {error.start} on"))) from None
    try:
        content = json.loads(text, object_pairs_hook=_unique, parse_int=_bounded, parse_float=_whole)
        if _SURROGATE_ESCAPE.search(body):
            _refuse_surrogates(content)
    except json.JSONDecodeError as error:
        raise ProblemError(invalid(("body", f"is not JSON: {error.msg} at character {error.pos}"))) from None
    except RecursionError:
        raise ProblemError(invalid(("body", "is nested too deeply"))) from None
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > NAMES_MAX:
        raise ProblemError(invalid((pairs[NAMES_MAX][0], f"is one of more than {NAMES_MAX} fields")))
    content = dict(pairs)
    if len(content) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ProblemError(invalid((twice, "is given more than once")))
    return content


def _bounded(digits: str) -> int:
    if len(digits) <= DIGITS_MAX:
        return int(digits)
    return -_BEYOND if digits.startswith("-") else _BEYOND


def _whole(digits: str) -> int | float:
    number = float(digits)
    return int(number) if number.is_integer() and abs(number) < _BEYOND else number


def _refuse_surrogates(content: Any) -> None:
    place = _surrogate_in(content)
    if place is not None:
        field = field_of(["body", *reversed(place)])
        raise ProblemError(invalid((field, "has half of a surrogate pair, which is no character")))


def _surrogate_in(value: Any) -> list[str | int] | None:
    """Return where a text holds half of a surrogate pair, from the inside to the outside; None: nowhere."""
    if isinstance(value, str):
        return None if value.isascii() or not _SURROGATE.search(value) else []
    if isinstance(value, list):
        places: Iterable[tuple[str | int, Any]] = enumerate(value)
    elif isinstance(value, dict):
        if any(_surrogate_in(name) is not None for name in value):
            return []
        places = value.items()
    else:
        return None
    for place, inside in places:
        found = _surrogate_in(inside)
        if found is not None:
            return [*found, place]
    return None


def check_json_type(request: Request) -> None:
    """Raise `ProblemError` if the body says that it is something else than JSON."""
    if media_of(request) is not Media.JSON:
        detail = "send Content-Type: application/json, in UTF-8"
        raise ProblemError(Problem("unsupported_media_type", detail))


# Query strings


def check_query(query: bytes, known: dict[str, bool]) -> None:
    """Raise `ProblemError` for bad escapes and parameters that are unknown, or twice.

    `known` says of each parameter whether it may be repeated.
    """
    try:
        decode_percent(query)
        given = [name for name, _ in parse_qsl(query.decode(), True, max_num_fields=PARAMETERS_MAX)]  # noqa: FBT003
    except ValueError as error:
        raise ProblemError(invalid(("query", str(error)))) from None
    for name in given:
        if name not in known:
            raise ProblemError(invalid((name, "is not a parameter of this route")))
        if not known[name] and given.count(name) > 1:
            raise ProblemError(invalid((name, "is given more than once")))


# Routes

_BODILESS = frozenset({"GET", "HEAD"})


class _Read(Request):
    """A request whose body was read, bounded and parsed."""

    _given: bytes = b""
    _content: Any = None

    async def body(self) -> bytes:
        return self._given

    async def json(self) -> Any:
        return self._content


class StrictRoute(APIRoute):
    """Checks, in this order, before FastAPI does anything: the key, the query string, the body as JSON."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's own handler."""
        handle = super().get_route_handler()
        needs = [one.dependency for one in self.dependencies if isinstance(one.dependency, Needs)]
        known = {param.alias: _takes_many(param) for param in self.dependant.query_params}
        field = self.body_field

        async def strict(request: Request) -> Response:
            for need in needs:
                need.check(request)
            if request.method not in _BODILESS:
                check_encoding(request)
            check_query(request.scope["query_string"], known)
            return await handle(request if field is None else await _with_body(request, field))

        return strict


def _takes_many(param: Any) -> bool:
    annotation = param.field_info.annotation
    return any(get_origin(one) is list for one in (annotation, *get_args(annotation)))


async def _with_body(request: Request, field: Any) -> Request:
    body = await read_body(request)
    read = _Read(request.scope, request.receive)
    if body:
        check_json_type(request)
        read._given, read._content = body, await _content(body, field)  # noqa: SLF001
        if "content-type" not in request.headers:
            read.scope = {**request.scope, "headers": [*request.scope["headers"], _JSON_HEADER]}
    return read


async def _content(body: bytes, field: Any) -> Any:
    """Return what a body holds; a large one leaves others their turn."""
    if check_size(body) <= VALUES_LARGE:
        return parse_json(body)
    async with turn():
        content = parse_json(body)
    try:
        await check_large(field, content)
    except RecursionError:
        raise ProblemError(invalid(("body", "is nested too deeply"))) from None
    return content


_JSON_HEADER = (b"content-type", b"application/json")
