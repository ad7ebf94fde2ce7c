"""What is wrong with a file, or with a line of it."""

from app.errors import SellableError


class FileError(SellableError):
    """A file that cannot be used as a whole; the message is the end of a sentence that begins with its name.

    `code` is the stable code of the problem where it is not an ordinary one, `line` where it shows.
    """

    def __init__(self, reason: str, *, line: int | None = None, code: str = "invalid_request") -> None:
        super().__init__(reason)
        self.line = line
        self.code = code


class AmbiguousError(ValueError):
    """A number that can be read in two ways, as long as nothing else in its column says which one is meant."""


class LeftOutError(ValueError):
    """A row that is not meant, and no mistake; the message says which kind of row it is."""
