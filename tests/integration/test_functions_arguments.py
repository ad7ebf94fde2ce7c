"""The functions check every number again: what `tonumber` would take, they refuse, and nothing changes."""

import re
from typing import Any

import pytest
from hiredis import ReplyError

from app import resources
from app.domain.commands import Deduct, Line, Lock, Opening, OpeningRow, Transfer, TransferShip, Unlock
from app.domain.outcomes import Outcome
from app.hotstore.library import COMMANDS, SHARED
from tests.integration.function_cases import everything
from tests.properties.rig import Shard

pytest_plugins = ["tests.properties.fixtures"]

BAD = [
    "nan",
    "NaN",
    "inf",
    "-inf",
    "0x10",
    "1e3",
    "-1",
    "+1",
    "",
    " 1",
    "1 ",
    "1.0",
    "12345678901",
    "\u0661",
    "1\n",
    "one",
]

# Each function's ARGV after epoch and who, with a name for each number in it.
ARGUMENTS: dict[str, list[Any]] = {
    "lock": ["M", "f", ("ttl", 100), ("ranked", 1), "north", ("order", 1), "north", ("closed", 1), "south",
             ("lines", 1), "A", ("quantity", 1), ""],
    "locks": ["M", "f", ("ttl", 100), ("ranked", 1), "north", ("order", 1), "north", ("closed", 1), "south",
              ("lines", 1), "A", ("quantity", 1), ""],
    "unlock": ["L", "key:k", "f", "", ("lines", 1), "A", ("quantity", 1), "north"],
    "deduct": ["L", "deduct:L{s", "f", ("occurred_at", 5), "1", ("lines", 1), "A", ("quantity", 1), "north"],
    "void": ["S", "void:S{s", "f", "deduct:S{s", ("occurred_at", 5), "", ("lines", 1), "A", ("quantity", 1), "north"],
    "confirm": ["L", "key:k", "f", ("order", 1), "north", ("closed", 1), "south"],
    "extend": ["L", "key:k", "f", ("ttl", 100)],
    "replace": ["L", "key:k", "f", "1", ("ttl", 100), ("ranked", 0), ("order", 0), ("closed", 0), ("lines", 1), "A",
                ("quantity", 1), "north"],
    "reopen": ["E", "key:k", "f", ("ttl", 100), ("order", 1), "north", ("closed", 1), "south"],
    "remember": ["new"],
    "receive": ["op", "f", ("occurred_at", 5), "north", "", ("lines", 1), "A", "s", "a", ("quantity", 1), ""],
    "return": ["op", "f", ("occurred_at", 5), "north", "", ("lines", 1), "A", "c", "d", ("quantity", 1), ""],
    "adjust": ["op", "f", ("occurred_at", 5), "north", "", ("lines", 1), "A", "a", "j", ("quantity", 1), '"gone"'],
    "buffer": ["north", ("lines", 1), "A", ("units", 1)],
    "exchange": ["M", "exchange:X", "f", "g", ("ttl", 100), ("occurred_at", 5), "north", ("lines", 1), "A", "c", "a",
                 ("quantity", 1), "", ("ranked", 1), "north", ("order", 1), "north", ("closed", 1), "south",
                 ("lines", 1), "A", ("quantity", 1), ""],
    "transfer": ["T2", "f", "north", "south", ("lines", 1), "A", ("quantity", 1), ""],
    "transfer_ship": ["T", "transfer_ship:T{s", "f", ("occurred_at", 5), ("lines", 1), "A", ("quantity", 1), ""],
    "transfer_receive": ["T", "transfer_receive:T{r", "f", ("occurred_at", 5), ("lines", 1), "A", ("good", 1),
                         ("damaged", 0), ("lost", 0)],
    "transfer_cancel": ["T", "", "f"],
    "transfer_close": ["T", "", "f", "lost", ""],
    "opening": [("rows", 1), "A", "north", ("on_hand", 3), ("buffer", 1)],
}  # fmt: skip
OPTIONAL = {"ttl", "occurred_at", "buffer"}
MOMENTS = {"occurred_at"}
NUMBERS = [
    (function, place, argument[0])
    for function, arguments in ARGUMENTS.items()
    for place, argument in enumerate(arguments)
    if isinstance(argument, tuple)
]


def plain(function: str) -> list[str]:
    return [str(item[1] if isinstance(item, tuple) else item) for item in ARGUMENTS[function]]


@pytest.fixture
def stocked(shard: Shard) -> Shard:
    shard.do(Opening((OpeningRow("A", "north", 10),)))
    shard.do(Lock("L", (Line("A", 4, "north"),)))
    shard.do(Lock("E", (Line("A", 1, "north"),)))
    shard.do(Unlock("E"))
    shard.do(Lock("S", (Line("A", 1, "north"),)))
    shard.do(Deduct("S", "s"))
    shard.do(Transfer("T", "north", "south", (Line("A", 3),)))
    shard.do(TransferShip("T", "first", None, (Line("A", 1),)))
    return shard


@pytest.mark.parametrize("function", ARGUMENTS)
def test_the_arguments_as_they_stand_are_taken(stocked: Shard, function: str) -> None:
    reply = stocked.fcall(function, "1", "who", *plain(function))
    assert (reply[0][0] if isinstance(reply[0], list) else reply[0]).endswith("ED")


@pytest.mark.parametrize(("function", "place", "name"), NUMBERS)
def test_what_is_no_plain_integer_is_refused(stocked: Shard, function: str, place: int, name: str) -> None:
    before = everything(stocked)
    for text in BAD:
        if (name in OPTIONAL and text == "") or (name in MOMENTS and len(text) == 11):
            continue
        arguments = plain(function)
        arguments[place] = text
        assert stocked.fcall(function, "1", "who", *arguments)[0] == Outcome.INVALID_ARGUMENT, repr(text)
    assert everything(stocked) == before


@pytest.mark.parametrize(("function", "place", "name"), NUMBERS)
def test_counts_beyond_the_arguments_are_refused(
    stocked: Shard, function: str, place: int, name: str
) -> None:
    if name not in {"ranked", "order", "closed", "lines", "rows"}:
        return
    before = everything(stocked)
    for text in ("50", "9999999999"):
        arguments = plain(function)
        arguments[place] = text
        assert stocked.fcall(function, "1", "who", *arguments)[0] == Outcome.INVALID_ARGUMENT
    assert everything(stocked) == before


@pytest.mark.parametrize("function", ARGUMENTS)
def test_missing_arguments_change_nothing(stocked: Shard, function: str) -> None:
    before = everything(stocked)
    whole = plain(function)
    for count in range(len(whole)):
        if (function, count) in {("unlock", 4), ("deduct", 5), ("void", 6), ("transfer_ship", 4)}:
            continue  # without lines: all that is left
        try:
            reply = stocked.fcall(function, "1", "who", *whole[:count])
        except ReplyError:
            continue
        assert reply[0] == Outcome.INVALID_ARGUMENT, whole[:count]
    assert everything(stocked) == before


@pytest.mark.parametrize("quantity", ["0", "00"])
@pytest.mark.parametrize(
    "function", ["lock", "locks", "unlock", "deduct", "void", "replace", "transfer", "transfer_ship"]
)
def test_a_line_of_no_units_is_refused(stocked: Shard, function: str, quantity: str) -> None:
    arguments = [
        quantity if isinstance(item, tuple) and item[0] == "quantity" else value
        for item, value in zip(ARGUMENTS[function], plain(function), strict=True)
    ]
    before = everything(stocked)
    assert stocked.fcall(function, "1", "who", *arguments)[0] == Outcome.INVALID_ARGUMENT
    assert everything(stocked) == before


def test_an_arrival_of_no_units_is_refused(stocked: Shard) -> None:
    before = everything(stocked)
    line = ["1", "A", "0", "0", "0"]
    for lines in (line, ["2", "A", "1", "0", "0", *line[1:]], ["0"]):
        reply = stocked.fcall("transfer_receive", "1", "who", "T", "transfer_receive:T{r", "f", "", *lines)
        assert reply[0] == Outcome.INVALID_ARGUMENT
    assert everything(stocked) == before


@pytest.mark.parametrize("ends", [("north", "north"), ("", "south"), ("north", "")])
def test_a_transfer_has_two_ends(stocked: Shard, ends: tuple[str, str]) -> None:
    before = everything(stocked)
    reply = stocked.fcall("transfer", "1", "who", "T2", "f", *ends, "1", "A", "1", "")
    assert reply[0] == Outcome.INVALID_ARGUMENT
    assert everything(stocked) == before


def test_a_cancellation_takes_no_id(stocked: Shard) -> None:
    assert stocked.fcall("transfer_cancel", "1", "who", "T", "x", "f")[0] == Outcome.INVALID_ARGUMENT


@pytest.mark.parametrize("place", ["x", "", "aa", "new", "v", "%a"])
def test_a_booking_names_its_places(stocked: Shard, place: str) -> None:
    before = everything(stocked)
    for ways in (("s", place), (place, "a")):
        reply = stocked.fcall("receive", "1", "who", "op", "f", "", "north", "", "1", "A", *ways, "1", "")
        assert reply[0] == Outcome.INVALID_ARGUMENT
    assert everything(stocked) == before


def test_the_words_of_the_functions_are_those_of_the_enum() -> None:
    """Every quoted word in capitals is an outcome, and every outcome is said somewhere."""
    folder = resources.folder("lua")
    files = [folder / f"{name}.lua" for name in COMMANDS] + [folder / "shared" / f"{n}.lua" for n in SHARED]
    code = "\n".join(line.split("--")[0] for file in files for line in file.read_text().splitlines())
    words = set(re.findall(r"'([A-Z][A-Z_]+[A-Z])'", code))
    calls = set(re.findall(r"(?:redis\.call|call_with)\('([A-Z]+)'", code))
    options = {"NOMKSTREAM", "MINID", "BYSCORE", "LIMIT", "MATCH", "COUNT"}
    assert words - calls - options == set(Outcome.__members__)


def test_every_inner_command_is_tried_before_the_gate_opens() -> None:
    folder = resources.folder("lua")
    code = "\n".join(file.read_text() for file in folder.rglob("*.lua"))
    calls = {name.lower() for name in re.findall(r"(?:redis\.call|call_with)\('([A-Z]+)'", code)}
    listed = re.search(r"INNER_COMMANDS = \{(.*?)\}", code, re.DOTALL)
    assert listed
    assert calls == set(re.findall(r"'(\w+)'", listed[1]))


def test_every_function_has_a_header() -> None:
    folder = resources.folder("lua")
    for name in COMMANDS:
        text = (folder / f"{name}.lua").read_text(encoding="utf-8")
        for function in re.findall(r"^register\('(\w+)'", text, re.MULTILINE):
            header = re.search(rf"^-- {function}: .*?(?=^local )", text, re.MULTILINE | re.DOTALL)
            assert header, f"{function} has no header"
            for word in ("KEYS  1 meta", "ARGV"):
                assert word in header[0], f"{function}'s header does not name {word}"
            assert re.search("Returns|answers and their precedence", header[0]), function
            if name not in {"reads", "recovery", "repair"}:
                assert "-- Event " in header[0], f"{function}'s header does not name its event"


def test_the_functions_build_the_keys_that_python_builds(stocked: Shard) -> None:
    keys = stocked.keys
    stocked.fcall("receive", "1", "who", *plain("receive"))
    made = {
        keys.meta,
        keys.outbox,
        keys.due,
        keys.stock("A"),
        keys.lock("L"),
        keys.lock("E"),
        keys.lock("S"),
        keys.op("deduct:S{s"),
        keys.op("op"),
    }
    made |= {keys.transfer("T"), keys.op("transfer_ship:T{first")}
    made |= {keys.document("transfer_ship:T"), keys.document("deduct:S"), keys.document("op")}
    assert set(everything(stocked)) == made
