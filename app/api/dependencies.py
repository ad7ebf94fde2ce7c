"""What routes ask for: the operations, the settings, who calls, and the Idempotency-Key."""

import re
import time
from typing import Annotated

from fastapi import Depends, Header, Request

from app.api.ports import Health
from app.api.problems import ProblemError, invalid
from app.domain.codes import check_id
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


async def _who(request: Request) -> str:
    who: str = request.state.who
    return who


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


async def _key(
    request: Request,
    documented: Annotated[
        str | None,
        Header(alias=KEY_HEADER, description="an id of this step: repeating it gives the same answer"),
    ] = None,
) -> str:
    del documented  # the framework decodes it as Latin-1
    return _read_key(request)


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


async def _version(
    request: Request,
    documented: Annotated[
        str | None,
        Header(
            alias=MATCH_HEADER, description="the version that the lock must have, in quotes", examples=['"3"']
        ),
    ] = None,
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
Who = Annotated[str, Depends(_who)]
Key = Annotated[str, Depends(_key)]
IfMatch = Annotated[int | None, Depends(_version)]
"""The version that a request is about; None: whichever it is."""
