"""Bytes of a file as text, a chunk at a time: by its mark, else as its caller says, else as UTF-8."""

import codecs
import re

from app.files.errors import FileError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""The marks that a file may begin with; the longer one before its own beginning."""
_WIDE = ("utf-16", "utf-32")
"""Which way round their bytes are is in the mark, or in the encoding's longer name."""
_UNREADABLE = re.compile("[\udc80-\udcff]")
_READABLE = re.compile("[^\x00-\x7f\udc80-\udcff]")


class Decoder:
    """Decodes a file whose first bytes are `head`. Bytes that are no text of its encoding become lone surrogates."""

    def __init__(self, head: bytes, declared: str) -> None:
        mark, marked = next(((mark, name) for mark, name in _MARKS if head.startswith(mark)), (b"", ""))
        self.mark_bytes = len(mark)
        self.encoding = marked or declared or "utf-8"
        self.lacks_mark = self.encoding in _WIDE
        if self.lacks_mark:
            self.encoding += "-le"
        # Many programs say UTF-8 of whatever they send.
        self.is_certain = bool(marked) or declared not in {"", "utf-8"}
        # Half a character of two bytes has no surrogate that could stand for it.
        errors = "replace" if self.encoding.startswith(_WIDE) else "surrogateescape"
        self._decode = codecs.getincrementaldecoder(self.encoding)(errors).decode

    def decode(self, data: bytes, *, final: bool = False) -> str:
        """Return the next text."""
        return self._decode(data, final)

    def note(self, text: str) -> None:
        """Take notice of text that was decoded: one letter beyond ASCII that can be read shows that all is UTF-8."""
        if not self.is_certain and _READABLE.search(text):
            self.is_certain = True


def is_readable(text: str) -> bool:
    """Whether every byte of it was text of its encoding."""
    return text.isascii() or _UNREADABLE.search(text) is None


def seems_wide(head: bytes) -> str:
    """The encoding of UTF-16 without its mark, as every other byte of ASCII letters is NUL in it; else ''."""
    even, odd = head[::2].count(0), head[1::2].count(0)
    least = max(4, len(head) // 8)
    if odd >= least and odd > 4 * even:
        return "utf-16-le"
    return "utf-16-be" if even >= least and even > 4 * odd else ""


def not_text(line: int, way: str) -> FileError:
    """Return the error of a file whose letters cannot be read; `way` is how to say which encoding it has."""
    return FileError(
        f"is not UTF-8 text, as line {line} shows: save it as UTF-8, or say what it is"
        f" ({way.format('cp1252')}, if it is from a spreadsheet on Windows)",
        line=line,
    )
