"""What the OpenAPI page says of texts, against the checks: all that it allows is taken."""

import json
import random
import re
import unicodedata

import pytest

from app.api import shapes
from app.domain.codes import check_code
from app.domain.times import time_ms
from app.operations.snapshots.formats import JsonBody
from app.operations.snapshots.spool import SnapshotError, Spool

CHARACTERS = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]


def test_every_text_of_allowed_characters_is_a_code() -> None:
    allowed = re.compile(shapes.code(64, "A")["pattern"])
    taken = [one for one in CHARACTERS if allowed.match(one) and one not in {" ", "."}]
    assert len(taken) > 45_000
    for one in taken:
        check_code(f"{one} {one}", 64)
    mixed = random.Random(1).sample(taken, len(taken))
    assert unicodedata.is_normalized("NFC", "".join(mixed))


@pytest.mark.parametrize(
    "text", [" A", "A ", ".", "..", "{", "}", '"', "\\", "\n", "\x7f", "\xa0", "e\u0301", ""]
)
def test_what_is_no_code_is_not_allowed(text: str) -> None:
    for shape in (shapes.code(64, "A"), shapes.key(64), shapes.codes(64, 100)):
        assert not re.match(shape["pattern"], text) or re.match(shape["not"]["pattern"], text)


def test_codes_with_commas_between_them() -> None:
    shape = shapes.codes(24, 3)
    for text, is_allowed in {
        "a,b b,c": True,
        "a": True,
        "a,b,c,d": False,
        "a,,b": False,
        "a, b": False,
    }.items():
        assert (
            bool(re.match(shape["pattern"], text) and not re.search(shape["not"]["pattern"], text))
            is is_allowed
        )


@pytest.mark.parametrize(
    "text", ["1971-01-01T00:00:00+23:59", "8999-12-31t23:59:59.123456789-23:59", "2024-02-29T00:00:00z"]
)
def test_times_that_are_allowed(text: str) -> None:
    assert re.match(shapes.TIME, text)
    time_ms(text)


@pytest.mark.parametrize(
    "text", ["1969-12-31T23:59:59Z", "2016-12-31T23:59:60Z", "2024-01-01T00:00:00", "10000-01-01T00:00:00Z"]
)
def test_times_that_are_not_allowed(text: str) -> None:
    assert not re.match(shapes.TIME, text)


def _taken(body: bytes, pieces: int) -> list[tuple[bytes, ...]]:
    with Spool() as spool:
        form = JsonBody(spool, time_ms)
        for first in range(0, len(body), pieces):
            form.feed(body[first : first + pieces])
        form.finish()
        return [tuple(line.split(b"\t")[1:]) for line in spool.rewound().read().splitlines()]


@pytest.mark.parametrize("pieces", [1, 5, 7, 1_000])
def test_a_snapshot_may_be_written_as_json_may(pieces: int) -> None:
    head = '{"warehouse":"north","as_of":"2025-01-01T00:00:00Z","rows":2.0,"counts":['
    counts = [{"sku": "\U0001f600", "on_hand": 2.0, "damaged": 1e1}, {"sku": "A\U0001f601", "on_hand": 3}]
    body = (head + json.dumps(counts)[1:] + "}").encode()
    assert rb"\ud83d\ude00" in body
    assert _taken(body, pieces) == [
        ("\U0001f600".encode(), b"2", b"10"),
        ("A\U0001f601".encode(), b"3", rb"\N"),
    ]
    for half in (rb"\ud83d", rb"\ude00", rb"\ud83d\ud83d\ude00", rb"\ude00\ud83d"):
        with pytest.raises(SnapshotError, match="surrogate"):
            _taken(body.replace(rb"\ud83d\ude00", half), pieces)
    with pytest.raises(SnapshotError, match="surrogate"):
        _taken(rb'{"warehouse":"\ud83d"}', pieces)
