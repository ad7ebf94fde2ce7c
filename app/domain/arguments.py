"""Values as the hot store's functions take them."""

import msgspec

Arguments = list[str | int]
"""A function's arguments, after the epoch and who calls."""


def optional(number: int | None) -> str | int:
    """Return a number as an argument, '' for none."""
    return "" if number is None else number


def flag(*, on: bool) -> str:
    """Return a choice as an argument."""
    return "1" if on else ""


def json_text(text: str | None) -> str:
    """Return free text as the JSON string that a function puts into its event; '' for none."""
    return "" if text is None else msgspec.json.encode(text).decode()
