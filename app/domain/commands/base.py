"""What every command is: one call of a function of the hot store, and what its reply says of it."""

import hashlib
from typing import ClassVar, Literal, NamedTuple

import msgspec

from app.domain.answers import Answer
from app.domain.arguments import Arguments
from app.domain.events import Position
from app.domain.ranking import Ranking

Shown = Literal["lock", "transfer", "rows"]
"""What a reply may show: a document after the step, or which rows were set."""


class Moved(NamedTuple):
    """Units of a SKU that went from one place to another; `source` and `target` are the letters of `words.Place`."""

    sku: str
    warehouse: str
    source: str
    target: str
    quantity: int


class Effect(NamedTuple):
    """What an acknowledged command did, as far as its reply says: the `kind` of its event, what about, and moves."""

    kind: str
    lock_id: str | None = None
    op: str | None = None
    moves: tuple[Moved, ...] = ()


class Acknowledged(NamedTuple):
    """A command that was answered: where its event stood, when that was (ms since 1970), and what it did."""

    position: Position
    at_ms: int
    effect: Effect


class Command(msgspec.Struct, frozen=True, gc=False):
    """What is asked of the hot store. Commands hold plain values alone, so the garbage collector may pass them by.

    `function` runs it. `shows` is what its reply shows, if it shows anything. One that `is_kept` is remembered as
    acknowledged until the ledger has it.
    """

    function: ClassVar[str]
    shows: ClassVar[Shown] = "lock"
    is_kept: ClassVar[bool] = True

    @property
    def subject(self) -> str:
        """The id that the reply names, as does the first argument; '' if it names none."""
        raise NotImplementedError

    def arguments(self, ranking: Ranking) -> Arguments:
        """Return the function's arguments, as its file in `lua/` lists them."""
        raise NotImplementedError

    def effect(self, answer: Answer) -> Effect:
        """Return what it did, of an answer that says it was done."""
        return Effect(self.function, op=f"{self.function}:{self.subject}")


def fingerprint_of(*content: object) -> str:
    """Sixteen hex digits of a request's content. Its texts have no control characters: tabs keep them apart."""
    return hashlib.sha256("\t".join(map(str, content)).encode()).hexdigest()[:16]


def reason_content(reason: str | None) -> str:
    """A reason as a fingerprint has it: no reason is `None`, so the text `None` is told from it."""
    return "\0None" if reason == "None" else str(reason)
