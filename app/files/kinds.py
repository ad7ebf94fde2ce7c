"""Files that are given as CSV and are something else: named for what they are."""

import re

_SAVE_AS_CSV = "save it as CSV UTF-8 in the spreadsheet, and give that file"
_BEGINNINGS = (
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)", _SAVE_AS_CSV),
    (b"%PDF", "a PDF", "ask for an export as CSV"),
    (b"{\\rtf", "a text document (RTF)", _SAVE_AS_CSV),
    (b"\x1f\x8b", "compressed (gzip)", "unpack it first"),
    (b"BZh", "compressed (bzip2)", "unpack it first"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)", "unpack it first"),
    (b"\xfd7zXZ", "compressed (xz)", "unpack it first"),
    (b"7z\xbc\xaf", "compressed (7z)", "unpack it first"),
    (b"Rar!", "compressed (RAR)", "unpack it first"),
    (b"PAR1", "a Parquet file", "ask for an export as CSV"),
    (b"SQLite format 3", "an SQLite database", "ask for an export as CSV"),
)
_MARKUP = re.compile(r"<[!?/a-z]", re.IGNORECASE)
_JSON = re.compile(r'\{\s*("|\})|\[\s*[\[{"\]]')


def other_kind(head: bytes, text: str) -> str:
    """Return what a file is, as the end of a sentence, or '' if it may be CSV.

    `head` has its first bytes, `text` the same as far as they are text.
    """
    if head.startswith(b"PK\x03\x04"):
        return _of_zip(head)
    for beginning, what, advice in _BEGINNINGS:
        if head.startswith(beginning):
            return f"is {what}, not CSV: {advice}"
    return _of_text(text.lstrip("\ufeff \t\r\n"))


def _of_zip(head: bytes) -> str:
    if b"opendocument.spreadsheet" in head:
        return f"is an OpenDocument spreadsheet, not CSV: {_SAVE_AS_CSV}"
    if _first_name(head).endswith((b".csv", b".txt", b".tsv")):
        return "is a ZIP archive, not CSV: unpack it first"
    return f"is an Excel workbook, not CSV: {_SAVE_AS_CSV} (if it is another ZIP archive, unpack it first)"


def _first_name(head: bytes) -> bytes:
    """Return the name of a ZIP archive's first file: its length is at byte 26, and it begins at byte 30."""
    return head[30 : 30 + int.from_bytes(head[26:28], "little")].lower()


def _of_text(text: str) -> str:
    if _MARKUP.match(text):
        if "urn:schemas-microsoft-com:office" in text:
            return f"is an Excel workbook in XML, not CSV: {_SAVE_AS_CSV}"
        if text.startswith("<?xml") and "<html" not in text.lower():
            return "is an XML document, not CSV: ask for an export as CSV"
        if "<table" in text.lower():
            return f"is an HTML page, not CSV: if its table opens in a spreadsheet, {_SAVE_AS_CSV}"
        return "is an HTML page, not CSV: it is probably what a site said instead of sending the file"
    if _JSON.match(text):
        return "is JSON, not CSV"
    return ""
