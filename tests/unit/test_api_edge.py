"""The strict edge and the table of problems, without any server."""

from typing import Any

import pytest

from app.api import problems
from app.api.edge import raw_path
from app.api.strict import check_query, decode_percent, parse_json
from app.api.views import time_text
from app.domain.answers import Answer, LockView
from app.domain.commands import Adjust, Confirm, Deduct, Line, Lock, Receive, Replace, Return
from app.domain.outcomes import Outcome
from app.domain.times import time_ms
from app.domain.words import LockStatus
from app.errors import (
    FencedError,
    HotStoreFullError,
    LedgerBehindError,
    NotReadyError,
    OutcomeUnknownError,
    SellableError,
    UnavailableError,
)


@pytest.mark.parametrize(
    ("text", "decoded"),
    [(b"A%2F12", "A/12"), (b"A+B", "A+B"), (b"%c3%a9", "é"), (b"", ""), (b"%25", "%")],
)
def test_percent_decoding(text: bytes, decoded: str) -> None:
    assert decode_percent(text) == decoded


@pytest.mark.parametrize("text", [b"%", b"%2", b"A%G1", b"%%", b"%ff", b"\xff", b"%ed%a0%80", b"%c0%af"])
def test_percent_decoding_is_strict(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (any sentence will do)
        decode_percent(text)


@pytest.mark.parametrize(
    ("scope", "path"),
    [
        ({"raw_path": b"/a%2Fb", "path": "/a/b"}, "/a%2Fb"),
        ({"raw_path": b"/a?x=1", "path": "/a"}, "/a"),
        ({"raw_path": None, "path": "/a é%"}, "/a%20%C3%A9%25"),
        ({"path": "/a"}, "/a"),
    ],
)
def test_raw_paths(scope: dict[str, Any], path: str) -> None:
    assert raw_path(scope) == path


@pytest.mark.parametrize("query", [b"b=1&b=2", b"c=1", b"a=%", b"a=%ff", b"=1", b"&".join([b"a=1"] * 1001)])
def test_queries_are_strict(query: bytes) -> None:
    with pytest.raises(problems.ProblemError):
        check_query(query, {"a": True, "b": False})


def test_good_queries() -> None:
    check_query(b"a=1&a=2&b=%2F", {"a": True, "b": False})
    check_query(b"", {})


def test_numbers_too_long_stay_too_large() -> None:
    assert parse_json(b"[1, " + b"9" * 5000 + b", -" + b"9" * 5000 + b"]") == [1, 10**20, -(10**20)]


def test_whole_numbers_with_a_point_are_integers() -> None:
    found = parse_json(b"[1.0, -2.00, 3e0, 0.0, 1.5, 1e19, 1e20, 1e400]")
    assert found == [1, -2, 3, 0, 1.5, 10**19, 1e20, float("inf")]
    assert [type(one) for one in found] == [int] * 4 + [float] + [int] + [float] * 2


def test_a_pair_of_surrogates_is_a_character() -> None:
    assert parse_json(b'"\\ud83d\\ude00"') == "\U0001f600"
    with pytest.raises(problems.ProblemError) as caught:
        parse_json(b'{"a": [{"b": "\\uDE00"}]}')
    assert caught.value.problem.extras["errors"][0]["field"] == "a[0].b"


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2025-11-28T09:30:00Z", 1_764_322_200_000),
        ("2025-11-28t10:30:00.123456789+01:00", 1_764_322_200_123),
        ("2025-11-28T09:30:00.1z", 1_764_322_200_100),
    ],
)
def test_times(text: str, ms: int) -> None:
    assert time_ms(text) == ms
    assert time_ms(time_text(ms) or "") == ms


LOCK = LockView("L1", LockStatus.EXPIRED, None, ())
LINES = (Line("A", 1),)


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (Outcome.INVALID_ARGUMENT, 422, "invalid_request"),
        (Outcome.ID_REUSED, 409, "lock_id_reused"),
        (Outcome.UNKNOWN_LOCK, 404, "unknown_lock"),
        (Outcome.LOCK_EXPIRED, 409, "lock_expired"),
        (Outcome.LOCK_NOT_HELD, 409, "lock_not_held"),
        (Outcome.WAREHOUSE_REQUIRED, 422, "invalid_request"),
        (Outcome.QUANTITY_EXCEEDS_LOCK, 409, "quantity_exceeds_lock"),
        (Outcome.BACKLOG_FULL, 503, "backlog_full"),
        (Outcome.INSUFFICIENT_STOCK, 409, "insufficient_stock"),
        (Outcome.INSUFFICIENT_DAMAGED, 409, "insufficient_damaged"),
        (Outcome.QUANTITY_TOO_LARGE, 409, "quantity_too_large"),
    ],
)
def test_refusals(outcome: Outcome, status: int, code: str) -> None:
    told = problems.of_answer(Answer(outcome, LOCK, detail="A"), Lock("L1", LINES))
    assert (told.status, told.code) == (status, code)
    assert told.response().headers.get("retry-after") == ("1" if status == 503 else None)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (Lock("L1", LINES), "lock_id_reused"),
        (Deduct("L1", "s"), "shipment_id_reused"),
        (Confirm("L1", "k"), "idempotency_key_reused"),
        (Replace("L1", "k", LINES), "idempotency_key_reused"),
        (Return("R1", "north", ()), "return_id_reused"),
        (Adjust("A1", "north", ()), "adjustment_id_reused"),
        (Receive("P1", "north", ()), "receipt_id_reused"),
    ],
)
def test_reused_ids(command: problems.Writing, code: str) -> None:
    assert problems.of_answer(Answer(Outcome.ID_REUSED), command).code == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotReadyError("x"), "not_ready"),
        (OutcomeUnknownError("x"), "outcome_unknown"),
        (HotStoreFullError("x"), "hot_store_full"),
        (UnavailableError("x"), "unavailable"),
        (LedgerBehindError("x"), "unavailable"),
    ],
)
def test_errors(error: SellableError, code: str) -> None:
    told = problems.of_error(error)
    assert (told.status, told.code) == (503, code)


def test_an_error_that_no_operation_raises_is_no_answer() -> None:
    with pytest.raises(FencedError):
        problems.of_error(FencedError("x"))
