"""Hot handlers: the answers that product pages and checkout wait for, without a framework around them.

A handler takes a request and two callbacks, `respond` and `decline`, and knows no server. It answers what is
clean and common; anything else it declines, untouched, to the application behind it, which knows every rule and
every error. So a fast answer is always one that the application would have given too.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from app.api import problems
from app.api.api_keys import ApiKey
from app.api.problems import Problem
from app.telemetry import Latency

Respond = Callable[[int, bytes, bytes], None]
"""Called at most once with status, header lines (each ended by CRLF) and body."""
Decline = Callable[[], None]
"""Called at most once: the application shall answer."""

COLD_HEADERS = frozenset(
    {b"transfer-encoding", b"expect", b"upgrade", b"idempotency-key", b"content-encoding"}
)
"""A request with one of these is the application's."""
CLOSER_LOOK_HEADERS = frozenset({b"if-none-match", b"authorization"})
"""A page asked for with one of these needs its handler, even if it is at hand."""
BODY_BYTES_MAX = 1_048_576


@dataclass(slots=True, eq=False)
class HotRequest:
    """A whole request: the target as sent, header names in lower case, the body as it came."""

    method: bytes
    target: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    is_plain: bool = False
    """Whether it surely has none of CLOSER_LOOK_HEADERS."""
    address: str = ""
    """Where it comes from."""
    key: ApiKey | None = None
    """Whose it is, once that was found out."""
    is_counted: bool = False
    """Whether it was counted against its key's rate: the application need not do so again."""

    def all(self, name: bytes) -> list[bytes]:
        """Return every value of a header."""
        return [value for given, value in self.headers if given == name]

    def header(self, name: bytes) -> bytes | None:
        """Return a header's value if it came once; None if it is missing or came twice."""
        found = [value for given, value in self.headers if given == name]
        return found[0] if len(found) == 1 else None

    def first(self, name: bytes) -> bytes | None:
        """Return a header's first value."""
        for given, value in self.headers:
            if given == name:
                return value
        return None


Handler = Callable[[HotRequest, Respond, Decline], None]


@dataclass(slots=True)
class HotCounts:
    """What was answered, for the metrics: plain integers, taken over when somebody looks."""

    requests: dict[tuple[str, str, int], int] = field(default_factory=dict)
    latencies: dict[str, Latency] = field(default_factory=lambda: defaultdict(Latency))
    """Of each route, those that waited for the hot store; the others were answered at once."""
    outcomes: dict[tuple[str, str], int] = field(default_factory=dict)

    def count(self, method: str, route: str, status: int) -> None:
        """Note one answer."""
        self.count_as((method, route, status))

    def count_as(self, key: tuple[str, str, int]) -> None:
        """Note one answer by a key that is at hand."""
        self.requests[key] = self.requests.get(key, 0) + 1

    def count_outcome(self, command: str, outcome: str) -> None:
        """Note what one command came to."""
        key = (command, outcome)
        self.outcomes[key] = self.outcomes.get(key, 0) + 1


def send_problem(problem: Problem, respond: Respond) -> None:
    """Answer with a problem, as the application would."""
    body = problem.body()
    more = [(name.lower().encode(), value.encode()) for name, value in problem.all_headers().items()]
    respond(problem.status, head_of(problems.MEDIA_TYPE.encode(), len(body), *more), body)


def head_of(content_type: bytes, length: int, *more: tuple[bytes, bytes]) -> bytes:
    """Return header lines."""
    lines = b"".join(b"%b: %b\r\n" % line for line in more)
    return b"%bcontent-length: %d\r\ncontent-type: %b\r\n" % (lines, length, content_type)
