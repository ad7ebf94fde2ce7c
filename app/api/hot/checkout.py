"""Locks, hot: lock, confirm, unlock and deduct, from the body's bytes to the function and back.

A body is decoded strictly; one that is not clean in every way is declined, and the application explains it.
"""

import re
from collections.abc import Callable
from time import perf_counter
from typing import Annotated, Any

import msgspec
import structlog
from hiredis import ReplyError

from app.api import problems
from app.api.auth import ApiKeys
from app.api.hot.handlers import Decline, HotCounts, HotRequest, Respond, send_problem
from app.api.limits import lock_problem
from app.api.problems import Problem, ProblemError
from app.api.strict import decode_percent
from app.api.views import wire_position
from app.api.words import TTL_SECONDS_MAX, WAREHOUSES_MAX
from app.domain import commands
from app.domain.answers import Answer
from app.domain.codes import check_id, check_sku, check_warehouse
from app.domain.outcomes import AGAIN, WRITTEN, Outcome
from app.domain.times import time_text
from app.domain.words import LINES_MAX, QUANTITY_MAX, Durability
from app.errors import NotReadyError, OutcomeUnknownError, SellableError
from app.hotstore import calls, replies
from app.hotstore.keys import Keys
from app.hotstore.library import Library
from app.hotstore.line import Line
from app.hotstore.lock_batches import REFUSED_BY_GATE, LockBatches
from app.hotstore.ranking import Ranking
from app.hotstore.ring import Ring
from app.hotstore.wire import meaning_of

_log = structlog.get_logger()

CREATE = b"/v1/locks"
STEP = b"/v1/locks/"
_JSON = b"application/json"
_UNSET = msgspec.UNSET

Quantity = Annotated[int, msgspec.Meta(ge=1, le=QUANTITY_MAX)]
Ttl = Annotated[int, msgspec.Meta(ge=1, le=TTL_SECONDS_MAX)]
Command = commands.Lock | commands.Confirm | commands.Unlock | commands.Deduct


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    sku: str
    quantity: Quantity
    warehouse: str | msgspec.UnsetType = _UNSET


class _Lock(msgspec.Struct, forbid_unknown_fields=True):
    lock_id: str
    lines: Annotated[list[_Line], msgspec.Meta(min_length=1, max_length=LINES_MAX)]
    warehouses: (
        Annotated[list[str], msgspec.Meta(min_length=1, max_length=WAREHOUSES_MAX)] | msgspec.UnsetType
    ) = _UNSET
    ttl_seconds: Ttl | msgspec.UnsetType | None = _UNSET
    durability: Durability | msgspec.UnsetType = _UNSET


class _Confirm(msgspec.Struct, forbid_unknown_fields=True):
    durability: Durability | msgspec.UnsetType = _UNSET


class _Deduct(msgspec.Struct, forbid_unknown_fields=True):
    shipment_id: str
    durability: Durability | msgspec.UnsetType = _UNSET


_lock = msgspec.json.Decoder(_Lock)
_confirm = msgspec.json.Decoder(_Confirm)
_deduct = msgspec.json.Decoder(_Deduct)
_lines = msgspec.json.Decoder(list[tuple[str, str, int, int]])

_DONE: dict[str, int] = {**dict.fromkeys(WRITTEN | AGAIN, 200), Outcome.LOCKED: 201}
"""Outcomes that show a lock as it shall be, and their status."""
_WAITED_FOR = frozenset({"ledger", "replica"})
_MARKS = re.compile(rb"[/?#\x80-\xff]")
"""What ends a segment of a path, or must not be in one."""
_SPACED_COLON = re.compile(rb"[ \t\r\n]:")


class Checkout:
    """The handlers of checkout. `level` is what the hot store's own reply is worth now.

    `is_open` says whether a code surely names a warehouse that takes promises.
    """

    def __init__(
        self,
        keys: ApiKeys,
        counts: HotCounts,
        line: Line,
        redis_keys: Keys,
        library: Library,
        *,
        ranking: Ranking,
        is_open: Callable[[str], bool],
        ttl_seconds: int,
        durability: Durability,
        level: Callable[[], Durability],
        ring: Ring | None = None,
    ) -> None:
        self._ring = ring
        self._keys = keys
        self._counts = counts
        self._line = line
        self._meta = redis_keys.meta
        self._library = library
        self._batches = LockBatches(line, redis_keys, library)
        self._ranking = ranking
        self._is_open = is_open
        self._ttl_seconds = ttl_seconds
        self._durability = durability
        self._level = level

    def create(self, request: HotRequest, respond: Respond, decline: Decline) -> None:
        """POST /v1/locks."""
        try:
            body = _lock.decode(request.body)
            command = self._lock_of(body)
        except ValueError:  # msgspec's errors are ValueErrors too
            decline()
            return
        names = 2 + sum(2 if line.warehouse is _UNSET else 3 for line in body.lines)
        names += (body.warehouses is not _UNSET) + (body.ttl_seconds is not _UNSET)
        if self._declines(request, body.durability, names):
            decline()
            return
        args = calls.lock(command, self._ranking.order)
        self._run("lock", "/v1/locks", command, args, request, respond, decline)

    def step(self, request: HotRequest, respond: Respond, decline: Decline) -> None:
        """POST /v1/locks/{lock_id}/confirm, /unlock and /deduct, of whole locks."""
        raw, _, name = request.target[len(STEP) :].rpartition(b"/")
        try:
            lock_id = None if _MARKS.search(raw) else check_id(decode_percent(raw))
            found = self._step_of(name, lock_id, request.body) if lock_id else None
        except ValueError:
            decline()
            return
        if found is None or self._declines(request, found[2], found[3]):
            decline()
            return
        command, args = found[0], found[1]
        step = name.decode()
        self._run(step, f"/v1/locks/{{lock_id}}/{step}", command, args, request, respond, decline)

    def _lock_of(self, body: _Lock) -> commands.Lock:
        """Return the command, every text checked; raise `ValueError` at the first that is wrong."""
        lines = tuple(
            commands.Line(
                check_sku(line.sku),
                line.quantity,
                "" if line.warehouse is _UNSET else self._known(line.warehouse),
            )
            for line in body.lines
        )
        ranked = () if body.warehouses is _UNSET else tuple(map(self._known, body.warehouses))
        ttl_seconds = self._ttl_seconds if body.ttl_seconds is _UNSET else body.ttl_seconds
        ttl_ms = None if ttl_seconds is None else ttl_seconds * 1000
        return commands.Lock(check_id(body.lock_id), lines, ranked, ttl_ms)

    def _known(self, warehouse: str) -> str:
        """Return a code that surely names an open warehouse; any other is for the application, which asks again."""
        if not self._is_open(check_warehouse(warehouse)):
            raise ValueError("is not known to be open")
        return warehouse

    def _step_of(
        self, name: bytes, lock_id: str, body: bytes
    ) -> tuple[Command, calls.Args, Durability | msgspec.UnsetType, int] | None:
        """Return command, arguments, the level asked for, and how many names the body should have had."""
        if name == b"deduct":
            ship = _deduct.decode(body)
            deduct = commands.Deduct(lock_id, check_id(ship.shipment_id))
            return deduct, calls.deduct(deduct), ship.durability, 1
        given = _confirm.decode(body) if body else _Confirm()
        if name == b"confirm":
            confirm = commands.Confirm(lock_id)
            return confirm, calls.confirm(confirm, self._ranking.order), given.durability, 0
        if name == b"unlock":
            unlock = commands.Unlock(lock_id)
            return unlock, calls.unlock(unlock), given.durability, 0
        return None

    def _declines(self, request: HotRequest, durability: Durability | msgspec.UnsetType, names: int) -> bool:
        """Whether the application has to look at it: a level to wait for, another type, a browser's, a name twice."""
        wanted = self._durability if durability is _UNSET else durability
        if wanted in _WAITED_FOR or not self._line.epoch:
            return True
        if durability is not _UNSET:
            names += 1
        if request.body and request.header(b"content-type") != _JSON:
            return True
        if request.first(b"sec-fetch-site") is not None:  # a browser's: it may be another site that writes
            return True
        # No string here can hold a quote. So where no colon stands apart, each `":` ends a name and each name ends
        # so: more of them than fields means one came twice.
        return request.body.count(b'":') != names or _SPACED_COLON.search(request.body) is not None

    def _run(
        self,
        function: str,
        route: str,
        command: Command,
        args: calls.Args,
        request: HotRequest,
        respond: Respond,
        decline: Decline,
    ) -> None:
        try:
            who = self._admit(request, command)
        except ProblemError as error:
            request.who = error.who
            _send_problem(error.problem, respond, self._counts, route)
            return
        echo, epoch, began = args[0], self._line.epoch, perf_counter()

        def on_reply(reply: Any) -> None:
            if type(reply) is list and reply[0] == Outcome.STALE_EPOCH:
                if epoch == self._line.epoch:
                    self._line.doubt()
                decline()  # nothing was changed, and the application asks for the epoch first
                return
            if type(reply) is list and reply[0] == Outcome.UNKNOWN_LOCK:
                decline()  # the hot store may have forgotten it: the application asks the ledger
                return
            try:
                if self._ring is not None and type(reply) is list and reply[1] == echo:
                    self._ring.add(function, reply, args)
                self._answer(function, route, command, echo, reply, respond)
            except Exception:  # noqa: BLE001 - whatever it is, somebody waits for an answer
                _log.exception("a request failed", method="POST", route=route)
                _send_problem(problems.internal_error(), respond, self._counts, route)
            self._counts.latencies[route].observe(perf_counter() - began)

        if function == "lock":
            self._batches.call(epoch, who, args, on_reply)
        else:
            name = self._library.function(function)
            self._line.call(("FCALL", name, 1, self._meta, epoch, who, *args), on_reply)

    def _admit(self, request: HotRequest, command: Command) -> str:
        """Return the name of the key that calls; raise `ProblemError` if it may not, or not so much."""
        key = self._keys.check(
            request.header(b"authorization"), "checkout", request.address, is_counted=request.is_counted
        )
        request.is_counted = True
        if key is None:
            return ""
        request.who = key.name
        if type(command) is commands.Lock and (problem := lock_problem(self._keys, key, command)):
            raise ProblemError(problem, who=key.name)
        return key.name

    def _answer(
        self, function: str, route: str, command: Command, echo: object, reply: Any, respond: Respond
    ) -> None:
        status = _DONE.get(reply[0]) if type(reply) is list and reply[1] == echo else None
        if status is None:
            self._refuse(function, route, command, echo, reply, respond)
            return
        body = _step_body(reply, self._level())
        self._counts.count_outcome(function, reply[0])
        self._counts.count("POST", route, status)
        respond(status, b"content-length: %d\r\ncontent-type: application/json\r\n" % len(body), body)

    def _refuse(
        self, function: str, route: str, command: Command, echo: object, reply: Any, respond: Respond
    ) -> None:
        try:
            answer = _answer_of(reply, echo)
        except SellableError as error:
            _send_problem(problems.of_error(error), respond, self._counts, route)
            return
        self._counts.count_outcome(function, answer.outcome)
        _send_problem(problems.of_answer(answer, command), respond, self._counts, route)


def _step_body(reply: list[str], level: Durability) -> bytes:
    """Return the bytes of `views.of_step` for a reply that shows a lock.

    A code needs no escaping in JSON, so the texts go in as they are; a test holds this and the view together.
    """
    lines = ",".join(
        f'{{"sku":"{sku}","warehouse":"{warehouse}","quantity":{quantity},"deducted":{deducted}}}'
        for sku, warehouse, quantity, deducted in _lines.decode(reply[5])
    )
    expires_at = f'"{time_text(int(reply[4]))}"' if reply[4] else "null"
    more = _more_of_step(reply) if reply[0] == "REPEATED" or len(reply) > 7 else ""
    return (
        f'{{"lock_id":"{reply[1]}","status":"{reply[3]}","expires_at":{expires_at},"lines":[{lines}],'
        f'"version":{reply[6]},"position":"{wire_position(reply[2])}","durability":"{level}"{more}}}'
    ).encode()


def _more_of_step(reply: list[str]) -> str:
    """Return what a repeat, or a shipment beyond what was on hand, says besides."""
    status, beyond, original = replies.more_of(reply)
    text = ""
    if beyond:
        taken = (one._asdict() for one in replies.beyond_of(beyond))
        text += f',"beyond_on_hand":{msgspec.json.encode(list(taken)).decode()}'
    if reply[0] == "REPEATED":
        text += f',"current_status":"{status or reply[3]}"'
    return text + (f',"original_status":"{original}"' if original else "")


def _answer_of(reply: Any, echo: object) -> Answer:
    """Return the answer, or raise what the reply means: it did not run, or nobody knows."""
    if isinstance(reply, ReplyError):
        raise meaning_of(reply)
    if isinstance(reply, Exception):
        raise reply
    if reply[0] in REFUSED_BY_GATE:
        raise NotReadyError("the hot store's memory was not checked yet")
    if reply[1] != echo:  # an answer about something else belongs to another call
        raise OutcomeUnknownError(f"the hot store answered about {reply[1]!r}, not {echo!r}")
    return replies.answer_of(reply)


def _send_problem(problem: Problem, respond: Respond, counts: HotCounts, route: str) -> None:
    counts.count("POST", route, problem.status)
    send_problem(problem, respond)
