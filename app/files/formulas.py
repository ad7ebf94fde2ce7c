"""Cells that a spreadsheet would take for a formula: quoted in reports for people, never in exports of data."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a formula begins with, and what spreadsheets skip in front of one (OWASP, "CSV Injection")."""


def as_text(cell: object) -> object:
    """Return a cell of a report: text that begins like a formula with an apostrophe before it, all else as it is."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
