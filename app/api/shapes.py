"""How the OpenAPI page describes texts and rules, in the words of JSON Schema.

The checks themselves are made elsewhere; `make fuzz` fails where the page allows what a check refuses. The patterns
are in what every dialect of regular expressions has: characters and ranges below U+10000.
"""

from typing import Any

from pydantic.config import JsonDict

Shape = dict[str, Any]

_ASCII = r"!#-+\-.-\[\]-z|~"
"""What is printed but not forbidden, without the comma."""
BEYOND_ASCII = (
    "\u00a1-\u00ac\u00ae-\u02ff\u038e-\u03a1\u03a3-\u0482\u0488-\u052f\u0531-\u0556\u0559-\u058a\u05d0-\u05ea\u0620-\u064a"
    "\u0671-\u06d5\u0904-\u0928\u092a-\u0930\u0e01-\u0e30\u0e50-\u0e5b\u10d0-\u1160\u1400-\u167f\u1e00-\u1f15\u2010-\u2027"
    "\u2030-\u205e\u20a0-\u20c0\u2190-\u2328\u232b-\u2426\u2460-\u2adb\u2e00-\u2e5d\u3041-\u3096\u309b-\u30ff\u3131-\u318e"
    "\u3220-\ua48c\uac00-\ud7a3\uff01-\uffbe"
)
"""Letters and signs of many scripts. Any text of them is in NFC, which no pattern can demand; other text in NFC is
taken too."""
_NO_WORD = r"^( .*|.* |\.\.?)$"
"""No code begins or ends with a blank, or means a folder."""
PRINTED = r"^[^\u0000-\u001f\u007f-\u009f]*$"
"""Free text: no control characters."""
TIME = (
    r"^(197[1-9]|19[89][0-9]|[2-8][0-9]{3})-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
"""An RFC 3339 time, without leap seconds; in any zone it is in 1970 or later, and of the calendar."""
VERSION = r'^(\*|"[0-9]{1,9}")$'
"""A version in quotes, as If-Match has it, or any."""
CURSOR = r"^[A-Za-z0-9_-]+$"


def code(length_max: int, example: str) -> Shape:
    """Return the shape of a code or an id; `length_max` is in characters (code points), as JSON Schema counts."""
    return {**_word(f"{_ASCII},{BEYOND_ASCII}", length_max), "examples": [example]}


def key(length_max: int) -> Shape:
    """Return the shape of an id in a header: beyond ASCII, clients differ in what they send there."""
    return _word(f"{_ASCII},", length_max)


def _word(taken: str, length_max: int) -> Shape:
    # The class stands there once, as generators of test data need long for each.
    return {
        "minLength": 1,
        "maxLength": length_max,
        "pattern": f"^[{taken} ]+$",
        "not": {"pattern": _NO_WORD},
    }


def or_empty(shape: Shape) -> Shape:
    """Return the shape of such a text that may be empty, too."""
    return {**shape, "minLength": 0, "pattern": shape["pattern"].replace("]+$", "]*$")}


def codes(length_max: int, count_max: int) -> Shape:
    """Return the shape of up to `count_max` codes with commas between them."""
    taken = f"{_ASCII}{BEYOND_ASCII}"
    one = f"[{taken} ]{{1,{length_max}}}"
    barred = r"(^|,)( [^,]*|[^,]* |\.\.?)(,|$)"
    return {"pattern": f"^{one}(,{one}){{0,{count_max - 1}}}$", "not": {"pattern": barred}}


def _at_least_one(*names: str) -> JsonDict:
    """Return the rule that at least one of these figures is given and is not 0."""
    return {"anyOf": [{"required": [name], "properties": {name: {"minimum": 1}}} for name in names]}


RECEIVED: JsonDict = _at_least_one("quantity", "damaged")
ARRIVED: JsonDict = _at_least_one("quantity", "damaged", "lost")
UNLOCKED: JsonDict = {
    "not": {
        "required": ["lines", "remember"],
        "properties": {"lines": {"type": "array"}, "remember": {"const": True}},
    }
}
"""To remember an id is about all of a lock, not about lines of it."""
ADJUSTED: JsonDict = {
    "anyOf": [
        {"properties": {"to_state": {"type": "null"}}},
        {
            "properties": {
                "to_state": {"const": "damaged"},
                "state": {"const": "available"},
                "quantity": {"minimum": 1},
            }
        },
        {
            "required": ["state"],
            "properties": {
                "to_state": {"const": "available"},
                "state": {"const": "damaged"},
                "quantity": {"minimum": 1},
            },
        },
    ]
}
"""Between two states goes a positive quantity."""
