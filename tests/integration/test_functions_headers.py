"""What the headers of the functions say: each outcome named there has a case in a table, in the order of the enum."""

import re
from pathlib import Path

import pytest

from app import resources
from app.domain.answers import LockLine
from app.domain.commands import (
    Adjust,
    Buffer,
    Confirm,
    Deduct,
    Exchange,
    Expire,
    Extend,
    Fact,
    Lock,
    Opening,
    Receive,
    Remember,
    Reopen,
    Replace,
    Return,
    Transfer,
    TransferCancel,
    TransferClose,
    TransferReceive,
    TransferShip,
    Unlock,
    Void,
)
from app.domain.outcomes import Outcome
from app.domain.words import LockStatus
from tests.integration import (
    test_functions_bookings,
    test_functions_inbox,
    test_functions_locks,
    test_functions_steps,
    test_functions_transfers,
)
from tests.integration.function_cases import LOCK, TEN, N, O
from tests.properties.rig import Shard

pytest_plugins = ["tests.properties.fixtures"]

TABLES = (
    test_functions_locks,
    test_functions_bookings,
    test_functions_inbox,
    test_functions_steps,
    test_functions_transfers,
)
CASES = [case for table in TABLES for case in table.CASES.values()]
HEADERS = {
    "lock": Lock, "unlock": Unlock, "confirm": Confirm, "extend": Extend, "deduct": Deduct, "replace": Replace,
    "expire": Expire, "receive": Receive, "return": Return, "adjust": Adjust, "opening": Opening,
    "exchange": Exchange, "transfer": Transfer, "transfer_ship": TransferShip, "transfer_receive": TransferReceive,
    "transfer_cancel": TransferCancel, "transfer_close": TransferClose, "reopen": Reopen, "remember": Remember,
    "void": Void,
    "buffer": Buffer, "inbox": Fact,
}  # fmt: skip
ELSEWHERE = {
    O.NOT_READY,
    O.UNKNOWN_LAYOUT,
    O.STALE_EPOCH,
    O.BACKLOG_FULL,
    O.TOO_MANY_CHOICES,
    O.QUANTITY_TOO_LARGE,
    O.INVALID_ARGUMENT,
}
"""Told of every function by the tests of the gate, of the limits and of raw arguments."""


def documented(path: Path) -> list[Outcome]:
    """The outcomes that a file's header names after `Returns`, in that order."""
    text = path.read_text(encoding="utf-8")
    if "`book`" in text:
        text = (path.parent / "shared" / "booking.lua").read_text(encoding="utf-8")
    returns = re.search(r"-- Returns(.*?)\nlocal ", text, re.DOTALL)
    assert returns, path
    return [O[word] for word in re.findall(r"\b[A-Z][A-Z_]+[A-Z]\b", returns[1]) if word in O.__members__]


@pytest.mark.parametrize("name", HEADERS)
def test_every_documented_outcome_has_a_case(name: str) -> None:
    path = resources.folder("lua") / f"{name}.lua"
    shown = {case.outcome for case in CASES if type(case.when) is HEADERS[name]}
    told = set(documented(path))
    if "`book`" in path.read_text(encoding="utf-8"):  # receive, return, adjust are one function
        shown = {case.outcome for case in CASES if isinstance(case.when, Receive | Return | Adjust)}
        told |= {O.RECEIVED, O.RETURNED, O.ADJUSTED}
    assert told - ELSEWHERE == shown - ELSEWHERE


@pytest.mark.parametrize("name", HEADERS)
def test_the_documented_precedence_is_that_of_the_enum(name: str) -> None:
    told = documented(resources.folder("lua") / f"{name}.lua")
    assert told == sorted(told, key=list(Outcome).index)


def test_the_words_of_the_answers_are_strings(shard: Shard) -> None:
    """A line of an answer compares equal to its plain tuple, as the tables use it."""
    shard.do(TEN)
    lock = shard.do(LOCK).lock
    assert lock is not None
    assert lock.lines == (LockLine("A", N, 4),)
    assert lock.status is LockStatus.HELD
