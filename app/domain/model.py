"""The whole behaviour of stock and locks as plain Python: the specification, and the tests' oracle.

`Model.apply(command, now)` answers what the functions in `lua/` answer, and changes the same counts. It
knows neither servers nor epochs. Each `_<command>` is one command: check everything, then change. They are in
the files beside this one, each part standing on the one before: shelves, locks, bookings, transfers, facts.
"""

from app.domain.answers import Answer
from app.domain.commands import (
    Accept,
    Book,
    Buffer,
    Command,
    Exchange,
    Expire,
    Fact,
    Lock,
    Opening,
    Remember,
    Step,
    Transfer,
    TransferStep,
)
from app.domain.model_accepts import Accepts


class Model(Accepts):
    """All commands."""

    __slots__ = ()

    def apply(self, command: Command, now: int) -> Answer:
        """Do one command at `now` (ms since 1970) and answer; a refusal changes nothing."""
        match command:
            case Lock() | Exchange():
                return self._lock(command, now) if isinstance(command, Lock) else self._exchange(command, now)
            case Step():
                return self._step(command, now)
            case Expire() | Remember():
                return self._expire(command, now) if isinstance(command, Expire) else self._remember(command)
            case Book() | Fact() | Accept():
                return self._of_document(command, now)
            case Opening() | Buffer():
                return self._opening(command) if isinstance(command, Opening) else self._buffer(command)
            case Transfer() | TransferStep():
                return self._of_transfer(command, now)
        raise AssertionError(command)

    def _of_document(self, command: Book | Fact | Accept, now: int) -> Answer:
        if isinstance(command, Book):
            return self._book(command, now)
        return self._fact(command, now) if isinstance(command, Fact) else self._accept(command, now)
