"""What routes ask for: the operations, the settings, who calls, and the Idempotency-Key."""

import re
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, NamedTuple

from fastapi import Depends, Header, Request

from app.api.api_keys import ApiKey
from app.api.auth import ApiKeys
from app.api.limits import count_problem, size_problem, time_problem
from app.api.ports import Health
from app.api.problems import Problem, ProblemError, invalid
from app.api.shapes import VERSION, Shape
from app.api.shapes import key as key_shape
from app.domain.codes import ID_LENGTH_MAX, check_id
from app.domain.commands import Line
from app.domain.times import time_ms
from app.domain.words import Durability
from app.operations.operations import Operations
from app.settings import Settings
from app.telemetry import Metrics

KEY_HEADER = "Idempotency-Key"
MATCH_HEADER = "If-Match"


async def _operations(request: Request) -> Operations:
    operations: Operations = request.app.state.operations
    return operations


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


async def _health(request: Request) -> Health:
    health: Health = request.app.state.health
    return health


async def _metrics(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


async def _caching(request: Request) -> Mapping[str, str]:
    headers: Mapping[str, str] = request.app.state.page_headers
    return headers


async def _who(request: Request) -> str:
    who: str = request.state.who
    return who


async def _caller(request: Request) -> ApiKey | None:
    key: ApiKey | None = request.state.key
    return key


async def _limits(request: Request) -> "KeyLimits":
    return KeyLimits(request.app.state.keys, request.state.key)


class KeyLimits(NamedTuple):
    """How much the caller may lock; each method raises `ProblemError` for what is beyond."""

    keys: ApiKeys
    key: ApiKey | None

    def check_size(self, lines: Sequence[Line]) -> None:
        """Check the lines of a lock."""
        self._raise(size_problem(self.key, lines))

    def check_time(self, ttl_ms: int | None) -> None:
        """Check how long a lock lasts; None: for ever."""
        self._raise(time_problem(self.key, ttl_ms))

    def check_count(self) -> None:
        """Check whether there may be one lock more."""
        self._raise(count_problem(self.keys, self.key))

    def _raise(self, problem: Problem | None) -> None:
        if problem is not None:
            raise ProblemError(problem, who=self.key.name if self.key else "")


def _read_key(request: Request) -> str:
    given = [value for name, value in request.scope["headers"] if name == KEY_HEADER.lower().encode()]
    if not given:
        return ""
    if len(given) > 1:
        raise ProblemError(invalid((KEY_HEADER, "is given more than once")))
    try:
        return check_id(given[0].decode())
    except UnicodeDecodeError:
        raise ProblemError(invalid((KEY_HEADER, "is not UTF-8"))) from None
    except ValueError as error:
        raise ProblemError(invalid((KEY_HEADER, str(error)))) from None


_DOCUMENTED = Header(
    alias=KEY_HEADER,
    description="an id of this step: repeating it gives the same answer",
    json_schema_extra=key_shape(ID_LENGTH_MAX),
)


async def _key(request: Request, documented: Annotated[str | None, _DOCUMENTED] = None) -> str:
    del documented  # the framework decodes it as Latin-1
    return _read_key(request)


async def _key_needed(request: Request, documented: Annotated[str, _DOCUMENTED]) -> str:
    del documented
    key = _read_key(request)
    require_key(key)
    return key


_VERSION = re.compile(rb'"([0-9]{1,9})"')


def _read_if_match(request: Request) -> int | None:
    given = [
        value.strip(b" \t")
        for name, value in request.scope["headers"]
        if name == MATCH_HEADER.lower().encode()
    ]
    if not given or given == [b"*"]:
        return None
    found = _VERSION.fullmatch(given[0])
    if len(given) > 1 or found is None:
        raise ProblemError(invalid((MATCH_HEADER, 'must be one version in quotes, such as "3"')))
    return int(found[1])


def _describe_version(schema: Shape) -> None:
    schema |= {"pattern": VERSION}
    schema.pop("default", None)


async def _version(
    request: Request,
    documented: Annotated[
        str,
        Header(
            alias=MATCH_HEADER,
            description="the version that the lock must have, in quotes",
            json_schema_extra=_describe_version,
            examples=['"3"'],
        ),
    ] = "",
) -> int | None:
    del documented
    return _read_if_match(request)


def require_key(key: str) -> None:
    """Raise `ProblemError` without a key: this step cannot be repeated safely without one."""
    if not key:
        raise ProblemError(invalid((KEY_HEADER, "this step needs the header Idempotency-Key")))


def moment_of(as_of: str) -> int:
    """Return a time that was asked about, in ms; raise `ProblemError` if it is still to come."""
    at = time_ms(as_of)
    if at > time.time() * 1000:
        raise ProblemError(invalid(("as_of", "must not be in the future")))
    return at


def level(asked: Durability | None, settings: Settings) -> Durability:
    """Return the level a write shall reach."""
    return asked or settings.durability


Ops = Annotated[Operations, Depends(_operations)]
Conf = Annotated[Settings, Depends(_settings)]
HealthOf = Annotated[Health, Depends(_health)]
MetricsOf = Annotated[Metrics, Depends(_metrics)]
Caching = Annotated[Mapping[str, str], Depends(_caching)]
Who = Annotated[str, Depends(_who)]
Caller = Annotated[ApiKey | None, Depends(_caller)]
"""The key that calls; None without keys."""
Limits = Annotated[KeyLimits, Depends(_limits)]
Key = Annotated[str, Depends(_key)]
KeyNeeded = Annotated[str, Depends(_key_needed)]
"""The key of a step that cannot be repeated safely without one."""
IfMatch = Annotated[int | None, Depends(_version)]
"""The version that a request is about; None: whichever it is."""
