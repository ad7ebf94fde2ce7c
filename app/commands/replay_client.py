"""The HTTP API as a replay uses it: every request is repeated with the same id while the service is away."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from app.errors import SellableError, UnavailableError

RETRY_SECONDS = 60.0
TIMEOUT_SECONDS = 10.0
PAUSE_SECONDS_MIN = 0.1
PAUSE_SECONDS_MAX = 2.0
# The service's own 503 (not_ready, backlog_full, outcome_unknown), and what a proxy says while it is away.
RETRIED_STATUSES = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the service; `body` is empty when it was no JSON object."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Done now, or done before by the same request."""
        return self.status in {200, 201}

    @property
    def code(self) -> str:
        """The problem's stable code, or the status where there is none."""
        code = self.body.get("code")
        return code if isinstance(code, str) else f"status {self.status}"

    @property
    def detail(self) -> str:
        """What the service says about the problem, in one line; may be empty."""
        detail = self.body.get("detail") or self.body.get("title") or ""
        return _in_one_line(detail)

    @property
    def errors(self) -> list[str]:
        """What the service says about single fields, each once and in one line."""
        errors = self.body.get("errors")
        said = [one.get("message", "") for one in errors or () if isinstance(one, dict)]
        return list(dict.fromkeys(map(_in_one_line, filter(None, said))))


def _in_one_line(text: object) -> str:
    return " ".join(str(text).split())


def open_http(api_url: str, headers: Mapping[str, str], *, connections: int) -> httpx.AsyncClient:
    """A client for `api_url` that keeps its connections and repeats nothing by itself."""
    return httpx.AsyncClient(
        base_url=api_url,
        headers=dict(headers),
        timeout=TIMEOUT_SECONDS,
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        trust_env=False,  # the URL says where to go: no proxy, no certificates of another program
    )


class ApiClient:
    """Requests that are repeated, unchanged, while the service is away; each carries its own id."""

    def __init__(self, http: httpx.AsyncClient, *, note: Callable[[str], None]) -> None:
        self._http, self._note = http, note
        self._away = False

    async def get_stock(self, sku: str) -> Answer:
        """What every warehouse has of a SKU."""
        return await self._send("GET", f"/v1/stock/{quote(sku, safe='')}", None)

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """The answer to a command.

        UnavailableError when the service stayed away, SellableError if the key is bad.
        """
        return await self._send("POST", path, body)

    async def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> Answer:
        loop = asyncio.get_running_loop()
        pause_seconds = PAUSE_SECONDS_MIN
        give_up_at: float | None = None
        while True:
            answer, trouble, wait_seconds = await self._try(method, path, body)
            if answer is not None:
                return self._arrived(answer)
            if give_up_at is None:
                give_up_at = loop.time() + RETRY_SECONDS
            left_seconds = give_up_at - loop.time()
            if left_seconds <= 0:
                raise UnavailableError(
                    f"gave up: the service at {self._http.base_url} did not answer"
                    f" for {RETRY_SECONDS:g} s ({trouble})"
                )
            self._say_away(trouble)
            await asyncio.sleep(min(left_seconds, max(pause_seconds, wait_seconds)))
            pause_seconds = min(2 * pause_seconds, PAUSE_SECONDS_MAX)

    async def _try(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> tuple[Answer | None, str, float]:
        """An answer; or else None, what is in the way, and the seconds that the service asks us to wait."""
        try:
            response = await self._http.request(method, path, json=body)
        except httpx.TransportError as error:
            return None, str(error) or type(error).__name__, 0.0
        answer = Answer(response.status_code, _object(response))
        if answer.status in RETRIED_STATUSES:
            return None, answer.code, _seconds(response.headers.get("Retry-After", ""))
        return answer, "", 0.0

    def _arrived(self, answer: Answer) -> Answer:
        self._away = False
        if answer.status == 401:
            raise SellableError(
                "the service refused the key (unauthorized): SELLABLE_API_KEY names the one to use"
            )
        return answer

    def _say_away(self, trouble: str) -> None:
        if not self._away:
            self._note(f"the service does not answer ({trouble}): trying again for {RETRY_SECONDS:g} s")
        self._away = True


def _object(response: httpx.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _seconds(text: str) -> float:
    return float(text) if text.isascii() and text.isdigit() else 0.0
