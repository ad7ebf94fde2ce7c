"""Problems: the only place that decides HTTP statuses. Every error is an RFC 9457 `application/problem+json`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from app.domain.answers import Answer, Excess
from app.domain.commands import (
    Adjust,
    Book,
    Buffer,
    Count,
    Deduct,
    Exchange,
    Lock,
    Receive,
    Return,
    Step,
    Transfer,
    TransferClose,
    TransferReceive,
    TransferShip,
    TransferStep,
)
from app.domain.outcomes import Outcome
from app.domain.past import Reach
from app.domain.sourcing import Shortage
from app.domain.times import time_text
from app.domain.words import LINES_MAX
from app.errors import (
    HotStoreFullError,
    LedgerBehindError,
    NotReadyError,
    OutcomeUnknownError,
    SellableError,
    UnavailableError,
)
from app.operations.codes import BadCodes
from app.operations.reconciliations import Refused
from app.operations.snapshots.spool import SnapshotError

MEDIA_TYPE = "application/problem+json"
ERRORS_MAX = 100
"""How many errors of one request are listed."""
FIELD_LENGTH_MAX = 200
_RETRY = {"Retry-After": "1"}

Writing = Lock | Step | Book | Exchange | Transfer | TransferStep | Buffer
"""The commands that come in over HTTP."""

TITLES: dict[str, tuple[int, str]] = {
    "invalid_request": (422, "The request cannot be understood"),
    "malformed_request": (400, "The request is not HTTP as it must be"),
    "unauthorized": (401, "A key is needed"),
    "forbidden": (403, "The key does not cover this"),
    "forbidden_host": (403, "The service is not called by this name"),
    "not_found": (404, "There is nothing here"),
    "method_not_allowed": (405, "The method is not offered here"),
    "request_timeout": (408, "The request took too long to come in"),
    "payload_too_large": (413, "The body is too large"),
    "uri_too_long": (414, "The target is too long"),
    "unsupported_media_type": (415, "The body's media type is not taken here"),
    "unsupported_encoding": (415, "The body's encoding is not taken here"),
    "too_many_requests": (429, "Too much was asked in a short time"),
    "head_too_large": (431, "The request's head is too large"),
    "unknown_sku": (404, "The SKU is unknown"),
    "unknown_lock": (404, "The lock is unknown"),
    "unknown_shipment": (404, "The shipment is unknown"),
    "unknown_transfer": (404, "The transfer is unknown"),
    "as_of_too_old": (422, "The ledger does not reach back that far"),
    "unknown_purchase_order": (404, "The purchase order is unknown"),
    "unknown_shortage": (404, "The shortage is unknown"),
    "unknown_mismatch": (404, "The mismatch is unknown"),
    "unknown_reconciliation": (404, "The reconciliation is unknown"),
    "unknown_warehouse": (422, "The warehouse is unknown"),
    "wrong_warehouse": (422, "The snapshot is of another warehouse"),
    "snapshot_incomplete": (422, "The snapshot is not whole"),
    "snapshot_too_old": (422, "The snapshot is older than the ledger"),
    "too_many_choices": (422, "The order leaves too much to choose"),
    "insufficient_stock": (409, "Not enough can be sold"),
    "insufficient_damaged": (409, "Not enough is damaged"),
    "lock_id_reused": (409, "The lock_id was used with other content"),
    "idempotency_key_reused": (409, "The Idempotency-Key was used with other content"),
    "shipment_id_reused": (409, "The shipment_id was used with other content"),
    "shipment_voided": (409, "The shipment was voided"),
    "shipment_returned": (409, "Some of the shipment came back"),
    "shipment_reported": (409, "A warehouse says that the shipment left"),
    "return_id_reused": (409, "The return_id was used with other content"),
    "exchange_id_reused": (409, "The exchange_id was used with other content"),
    "adjustment_id_reused": (409, "The adjustment_id was used with other content"),
    "receipt_id_reused": (409, "The receipt_id was used with other content"),
    "transfer_id_reused": (409, "The transfer_id was used with other content"),
    "purchase_order_id_reused": (409, "The purchase_order_id was used with other content"),
    "stock_take_id_reused": (409, "The stock_take_id was used with other content"),
    "lock_changed": (412, "The lock was changed meanwhile"),
    "lock_not_held": (409, "The lock's state does not allow this step"),
    "lock_expired": (409, "The lock has expired"),
    "quantity_exceeds_lock": (409, "More than the lock holds"),
    "warehouse_closed": (409, "The warehouse is closed"),
    "transfer_not_open": (409, "The transfer's state does not allow this step"),
    "quantity_exceeds_transfer": (409, "More than the transfer has left"),
    "beyond_on_hand": (409, "Less is on the shelf"),
    "quantity_exceeds_shipment": (409, "More than was shipped for the lock"),
    "quantity_too_large": (409, "The count would grow too large"),
    "busy": (503, "Too many snapshots come in at once"),
    "too_many_connections": (503, "Too many connections are open"),
    "not_ready": (503, "The service is not ready"),
    "backlog_full": (503, "Too much waits to be persisted"),
    "hot_store_full": (503, "The hot store is full"),
    "unavailable": (503, "A server that this needs is away"),
    "outcome_unknown": (503, "Nobody knows yet whether it happened"),
    "internal_error": (500, "Something went wrong"),
}
"""Every stable code, with its status and title."""
ELSEWHERE = {"unknown_sku": 422, "unknown_warehouse": 404}
"""The status of a code in the other place: of a SKU in a body, of a warehouse in a path."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One error as it is told: a code of `TITLES`, a sentence, and members of its own."""

    code: str
    detail: str
    extras: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    is_of_place: bool = False
    """Whether the code means another place than it mostly does: see `ELSEWHERE`."""

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return ELSEWHERE[self.code] if self.is_of_place else TITLES[self.code][0]

    def body(self) -> bytes:
        """Return it as JSON; what cannot be UTF-8 was replaced before."""
        title = TITLES[self.code][1]
        content = {"type": f"urn:sellable:problem:{self.code}", "title": title, "status": self.status}
        return msgspec.json.encode(content | {"detail": self.detail, "code": self.code} | dict(self.extras))

    def all_headers(self) -> dict[str, str]:
        """Return its headers; a 503 always says when to try again."""
        return {**(_RETRY if self.status == 503 else {}), **self.headers}

    def response(self) -> Response:
        """Return it as an HTTP response."""
        return Response(self.body(), self.status, self.all_headers(), MEDIA_TYPE)


class ProblemError(Exception):
    """A problem found before there was a command; `who` is the name of the key that was refused, if it is known."""

    def __init__(self, problem: Problem, *, who: str = "") -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.who = who


def invalid(*errors: tuple[str, str]) -> Problem:
    """Return the problem of a request with wrong fields: (field, message) each."""
    listed = [{"field": printable(name), "message": printable(message)} for name, message in errors]
    first = listed[0]
    return Problem("invalid_request", f"{first['field']}: {first['message']}", {"errors": listed})


def too_many_requests(detail: str, wait_seconds: float, name: str, policy: str) -> Problem:
    """Return the problem of a caller that asks too often; `name` and `policy` as in the RateLimit header fields."""
    seconds = str(max(1, math.ceil(wait_seconds)))
    headers = {"Retry-After": seconds, "RateLimit": f"{name};r=0;t={seconds}", "RateLimit-Policy": policy}
    return Problem("too_many_requests", detail, headers=headers)


def printable(text: str) -> str:
    """Return the text as UTF-8 can carry it, cut where nobody reads on."""
    return text.encode("utf-8", "backslashreplace").decode()[:FIELD_LENGTH_MAX]


def unknown_sku(sku: str) -> Problem:
    """Return the problem of a path whose SKU nobody has imported."""
    return Problem("unknown_sku", f"no SKU is called {sku}", {"sku": sku})


def unknown_warehouse(code: str) -> Problem:
    """Return the problem of a path whose warehouse is not listed."""
    detail = f"no warehouse is called {code}"
    return Problem("unknown_warehouse", detail, {"warehouse": code}, is_of_place=True)


def of_codes(
    bad: BadCodes, fields: Mapping[str, Sequence[tuple[str, str]]], *, may_be_new: bool = True
) -> Problem:
    """Return the problem of a request with codes that are not taken; `fields`: where each kind of code stands.

    `may_be_new`: the message says how they are made known.
    """
    if bad.closed:
        detail = f"{', '.join(bad.closed)} takes nothing new"
        errors = _named_in(fields["closed"], dict.fromkeys(bad.closed, "is closed"))
        return Problem("warehouse_closed", detail, {"errors": errors})
    kind, unknown = ("warehouse", bad.warehouses) if bad.warehouses else ("sku", bad.skus)
    noun = "warehouse" if kind == "warehouse" else "SKU"
    said = {one.code: f"no {noun} is called {one.code}{_near(one.near)}" for one in unknown}
    near = list(dict.fromkeys(code for one in unknown for code in one.near))
    named = [{kind: one.code, "near": list(one.near)} for one in unknown[:ERRORS_MAX]]
    extras = {"near": near, "unknown": named, "errors": _named_in(fields[f"{kind}s"], said)}
    detail = f"{said[unknown[0].code]}{_BESIDE[kind] if may_be_new else ''}"
    return Problem(f"unknown_{kind}", detail, extras, is_of_place=kind == "sku")


_BESIDE = {"warehouse": ": PUT /v1/warehouses lists one", "sku": ': "new_skus": true makes it one'}


def _near(codes: Sequence[str]) -> str:
    return f"; did you mean {' or '.join(codes)}?" if codes else ""


def _named_in(fields: Sequence[tuple[str, str]], said: Mapping[str, str]) -> list[dict[str, str]]:
    found = [(name, code) for name, code in fields if code in said]
    return [{"field": name, "message": printable(said[code])} for name, code in found[:ERRORS_MAX]]


def as_of_too_old(reach: Reach) -> Problem:
    """Return the problem of a time that the ledger knows nothing of (any more)."""
    since = time_text(reach.since)
    why = "what was before is archived" if reach.archived else "it begins then"
    return Problem("as_of_too_old", f"the ledger reaches back to {since}: {why}", {"since": since})


def unknown_lock(lock_id: str) -> Problem:
    """Return the problem of a path whose lock there was not."""
    return Problem("unknown_lock", "no lock had this id then", {"lock_id": lock_id})


def unknown_shipment(shipment_id: str) -> Problem:
    """Return the problem of a path whose lock has no such shipment."""
    detail = "nothing shipped for the lock under this id"
    return Problem("unknown_shipment", detail, {"shipment_id": shipment_id})


def unknown_purchase_order(purchase_order_id: str) -> Problem:
    """Return the problem of a path whose order nobody has planned."""
    return Problem(
        "unknown_purchase_order",
        f"no purchase order is called {purchase_order_id}",
        {"purchase_order_id": purchase_order_id},
    )


def unknown_shortage(shortage_id: str) -> Problem:
    """Return the problem of a path whose case there never was."""
    return Problem("unknown_shortage", f"no shortage has the id {shortage_id}", {"shortage_id": shortage_id})


def unknown_mismatch(mismatch_id: str) -> Problem:
    """Return the problem of a path whose case there never was."""
    return Problem("unknown_mismatch", f"no mismatch has the id {mismatch_id}", {"mismatch_id": mismatch_id})


def unknown_reconciliation(reconciliation_id: str) -> Problem:
    """Return the problem of a path whose reconciliation there never was."""
    return Problem(
        "unknown_reconciliation",
        f"no reconciliation has the id {reconciliation_id}",
        {"reconciliation_id": reconciliation_id},
    )


def of_snapshot(error: SnapshotError) -> Problem:
    """Return the problem of a snapshot that cannot be used; each wrong line is named."""
    problem = invalid(*error.errors)
    return problem if error.code == "invalid_request" else replace(problem, code=error.code)


def of_refused_snapshot(refused: Refused, warehouse: str) -> Problem:
    """Return the problem of a snapshot that there is nothing to compare with."""
    match refused:
        case Refused.FUTURE:
            return invalid(("as_of", "must not be in the future"))
        case Refused.UNKNOWN_WAREHOUSE:
            problem = invalid(("warehouse", f"nothing was ever booked in {warehouse}"))
            return replace(problem, code="unknown_warehouse")
        case Refused.TOO_OLD:
            problem = invalid(("as_of", "is before the ledger begins"))
            return replace(problem, code="snapshot_too_old")


def purchase_order_id_reused() -> Problem:
    """Return the problem of a plan whose id has other content."""
    return Problem("purchase_order_id_reused", "an id stands for one content; take a new id for another")


# Refusals of the hot store


_REFUSALS: dict[Outcome, tuple[str, str]] = {
    Outcome.UNKNOWN_LOCK: ("unknown_lock", "no lock has this id"),
    Outcome.LOCK_CHANGED: ("lock_changed", "its version is another one by now: read it, and decide again"),
    Outcome.SHIPMENT_VOIDED: ("shipment_voided", "it never left; what leaves now needs a new id"),
    Outcome.SHIPMENT_RETURNED: ("shipment_returned", "so it had left; nothing was changed"),
    Outcome.SHIPMENT_REPORTED: (
        "shipment_reported",
        "a warehouse event says that it, or some of its goods, left: if they are there, they came back as a return",
    ),
    Outcome.BEYOND_ON_HAND: ("beyond_on_hand", "by the counts less is there; nothing was booked"),
    Outcome.LOCK_EXPIRED: ("lock_expired", "its stock was given back"),
    Outcome.LOCK_NOT_HELD: ("lock_not_held", "current_status says the state that the lock is in"),
    Outcome.QUANTITY_EXCEEDS_LOCK: ("quantity_exceeds_lock", "the lock holds less than the step asks for"),
    Outcome.QUANTITY_EXCEEDS_SHIPMENT: (
        "quantity_exceeds_shipment",
        "less was shipped for the lock, or some of it came back before; nothing was booked",
    ),
    Outcome.UNKNOWN_TRANSFER: ("unknown_transfer", "no transfer has this id"),
    Outcome.TRANSFER_NOT_OPEN: (
        "transfer_not_open",
        "current_status says the state that the transfer is in",
    ),
    Outcome.QUANTITY_EXCEEDS_TRANSFER: (
        "quantity_exceeds_transfer",
        "less is left to ship, or on the way, than the step says",
    ),
    Outcome.BACKLOG_FULL: (
        "backlog_full",
        "new obligations wait until the ledger has caught up; nothing was changed",
    ),
    Outcome.TOO_MANY_CHOICES: (
        "too_many_choices",
        "name a `warehouse` on its lines or a few `warehouses` for all, or send fewer lines; nothing was changed",
    ),
    Outcome.INSUFFICIENT_STOCK: ("insufficient_stock", "nothing was changed"),
    Outcome.INSUFFICIENT_DAMAGED: ("insufficient_damaged", "fewer units are damaged; nothing was booked"),
    Outcome.QUANTITY_TOO_LARGE: (
        "quantity_too_large",
        "a count would pass 10,000,000,000,000; nothing was booked",
    ),
}


_INVALID: dict[Outcome, tuple[str, str]] = {
    Outcome.INVALID_ARGUMENT: ("body", "the hot store refused its arguments; nothing was changed"),
    Outcome.TOO_MANY_LINES: ("lines", f"with those that shipped, a lock may have {LINES_MAX:,}"),
}
"""Refusals of a request as it is: the field, and what is wrong with it."""


def of_answer(answer: Answer, command: Writing | None = None) -> Problem:
    """Return the problem of a refusal; raise `KeyError` if the outcome is none."""
    match answer.outcome:
        case Outcome.INVALID_ARGUMENT | Outcome.TOO_MANY_LINES:
            return invalid(_INVALID[answer.outcome])
        case Outcome.ID_REUSED:
            code = "lock_id_reused" if answer.detail == "lock" else _code_reused(command)
            return Problem(code, "an id stands for one content; take a new id for another")
        case Outcome.UNKNOWN_LOCK if isinstance(command, Return | Exchange):
            detail = "no lock has this id; leave lock_id out if nobody knows what they were shipped for"
            return Problem("unknown_lock", detail, {"lock_id": command.lock_id})
        case Outcome.UNKNOWN_SKU:
            return _unknown_skus(answer, command)
        case Outcome.WAREHOUSE_REQUIRED:
            return _warehouse_required(answer.detail, command)
    code, detail = _REFUSALS[answer.outcome]
    if answer.outcome is Outcome.TRANSFER_NOT_OPEN and isinstance(command, TransferClose):
        detail = "all of it is on the way: say in in_transit whether it is lost or returned_to_source"
    return Problem(code, detail, _extras_of(answer))


def code_of(answer: Answer) -> str:
    """Return the code of a refusal."""
    return of_answer(answer).code


def of_receipt(answer: Answer) -> Problem:
    """Return the problem of a receipt that was refused."""
    return of_answer(answer, Receive("", "", ()))


def of_stock_take(answer: Answer) -> Problem:
    """Return the problem of a stock-take that was refused."""
    return of_answer(answer, Count("", "", ()))


def _extras_of(answer: Answer) -> dict[str, Any]:
    extras: dict[str, Any] = {}
    if answer.lock:
        extras |= {"lock_id": answer.lock.lock_id, "current_status": answer.lock.status}
    if answer.outcome is Outcome.LOCK_CHANGED and answer.lock:
        extras["version"] = answer.lock.version
    if answer.beyond_on_hand:
        extras["beyond_on_hand"] = [one._asdict() for one in answer.beyond_on_hand]
    if answer.transfer:
        extras |= {"transfer_id": answer.transfer.transfer_id, "current_status": answer.transfer.status}
    if answer.shortages:
        extras["shortages"] = [_shortage(shortage) for shortage in answer.shortages]
    if answer.exceeding:
        extras["exceeding"] = [_excess(excess) for excess in answer.exceeding]
    return extras


def _shortage(shortage: Shortage) -> dict[str, Any]:
    told: dict[str, Any] = {"sku": shortage.sku}
    if shortage.warehouse:
        told["warehouse"] = shortage.warehouse
    told |= {"requested": shortage.requested, "sellable": shortage.sellable}
    return told | ({"unknown": True} if shortage.unknown else {})


def _excess(excess: Excess) -> dict[str, Any]:
    told: dict[str, Any] = {"sku": excess.sku}
    if excess.warehouse:
        told["warehouse"] = excess.warehouse
    return told | {"requested": excess.requested, "held": excess.held}


_REUSED: dict[type, str] = {
    Lock: "lock_id_reused",
    Deduct: "shipment_id_reused",
    Return: "return_id_reused",
    Adjust: "adjustment_id_reused",
    Exchange: "exchange_id_reused",
    Count: "stock_take_id_reused",
    Receive: "receipt_id_reused",
    Transfer: "transfer_id_reused",
    TransferShip: "shipment_id_reused",
    TransferReceive: "receipt_id_reused",
}


def _code_reused(command: Writing | None) -> str:
    return _REUSED.get(type(command), "idempotency_key_reused")


def _unknown_skus(answer: Answer, command: Writing | None) -> Problem:
    """Name every line whose SKU nobody has imported."""
    unknown = {shortage.sku for shortage in answer.shortages}
    named = [i for i, line in enumerate(getattr(command, "lines", None) or ()) if line.sku in unknown]
    return invalid(*((f"lines[{i}].sku", "no SKU is called this") for i in named[:ERRORS_MAX]))


def _warehouse_required(sku: str, command: Writing | None) -> Problem:
    """Name every line that the lock holds in several warehouses and that names none."""
    lines = getattr(command, "lines", None) or ()
    message = "the lock holds this SKU in several warehouses: name one"
    named = [i for i, line in enumerate(lines) if line.sku == sku and not line.warehouse]
    return invalid(*((f"lines[{i}].warehouse", message) for i in named[:ERRORS_MAX]))


# Exceptions


def of_error(error: SellableError) -> Problem:
    """Return the problem of an exception that the operations may raise; raise it again if they may not."""
    match error:
        case NotReadyError():
            return Problem("not_ready", "the hot store is not ready; nothing was changed")
        case OutcomeUnknownError():
            return Problem(
                "outcome_unknown", "the hot store did not answer in time; repeat it with the same id"
            )
        case HotStoreFullError():
            return Problem("hot_store_full", "new obligations wait for memory; nothing was changed")
        case LedgerBehindError():
            detail = "the ledger has not caught up with the hot store yet; try again in a moment"
            return Problem("unavailable", detail)
        case UnavailableError():
            return Problem("unavailable", "Postgres cannot be reached; try again in a moment")
    raise error


def internal_error() -> Problem:
    """Return the problem of what nobody expected."""
    return Problem("internal_error", "it was logged; repeating the request with the same id is safe")


def not_ready(reasons: Sequence[str]) -> Problem:
    """Return the problem of a process that cannot serve yet."""
    return Problem("not_ready", "; ".join(reasons), {"reasons": list(reasons)})


def of_validation(error: RequestValidationError) -> Problem:
    """Return the problem of a request that does not fit its schema."""
    return invalid(*(_field_error(one) for one in error.errors()[:ERRORS_MAX]))


def _field_error(error: Mapping[str, Any]) -> tuple[str, str]:
    return field_of(error["loc"]), str(error["msg"]).removeprefix("Value error, ")


def field_of(loc: Sequence[str | int]) -> str:
    """Return ('body', 'lines', 0, 'sku') as `lines[0].sku`, and ('body',) as `body`."""
    parts = loc[1:] if len(loc) > 1 else loc
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")


_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "payload_too_large", 401: "unauthorized"}


def of_http(error: HTTPException) -> Problem:
    """Return the problem of what the framework refused."""
    code = _BY_STATUS.get(
        error.status_code, "internal_error" if error.status_code >= 500 else "invalid_request"
    )
    if code == "invalid_request":
        return invalid(("body", str(error.detail)))
    return Problem(code, TITLES[code][1], headers=error.headers or {})


async def answer_problem(_request: Request, error: Exception) -> Response:
    """Answer any exception that this file knows."""
    match error:
        case ProblemError():
            return error.problem.response()
        case RequestValidationError():
            return of_validation(error).response()
        case HTTPException():
            return of_http(error).response()
        case SellableError():
            return of_error(error).response()
    raise error
