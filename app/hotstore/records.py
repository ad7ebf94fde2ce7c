"""Records as recovery sets them: all of a SKU, a lock, a transfer or an op, absolutely."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from app.domain.events import Position
from app.domain.records import with_opened

Kind = Literal["stock", "lock", "transfer", "op", "counted", "sequences", "document"]


class Record(NamedTuple):
    """What the hot store should hold under an id. An op has one field without a name: its text.

    `gone` names fields to remove; with `fresh` nothing of an earlier record stays, and without fields none is left.
    """

    kind: Kind
    id: str
    fields: Mapping[str, int | str]
    gone: Sequence[str] = ()
    fresh: bool = False


def text_of(value: Any) -> str:
    """Return a record's field as the hot store has it: text as it is, the rest as JSON."""
    if isinstance(value, str):
        return value
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:  # letters that are none: what was read of a damaged key
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def opened_fields(record: Mapping[str, Any], opened: Position) -> dict[str, str]:
    """Return the fields of a lock or transfer that the event at `opened` began."""
    fields = {name: value if type(value) is str else text_of(value) for name, value in record.items()}
    return with_opened(fields, opened)


def weight(record: Record) -> int:
    """Return about how much text a record is."""
    return len(record.id) + sum(len(name) + len(str(value)) for name, value in record.fields.items())


def arguments(records: Sequence[Record]) -> list[str]:
    """Return the records as the functions take them (see `lua/repair.lua`)."""
    args: list[str] = []
    for kind, one, fields, gone, fresh in records:
        args += (kind, one, "1" if fresh else "", str(len(fields)))
        for name, value in fields.items():
            args += (name, str(value))
        args.append(str(len(gone)))
        args += gone
    return args


def fingerprint(records: Sequence[Record]) -> str:
    """Return the SHA-1 that a memory holding exactly these reads back."""
    texts = [
        str(fields[""]) if kind == "op" else " ".join((str(len(fields)), *map(str, fields.values())))
        for kind, _, fields, _, _ in records
    ]
    return sha1("\n".join(texts))


def sha1(text: str) -> str:
    """Return the SHA-1 of a text, as the functions reckon it."""
    return hashlib.sha1(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
