"""A search for an order: could these concurrent calls have happened one after the other?

After Wing and Gong: take any call that no other call surely came before, let the model do it, and go on if the
model gives the same answer; go back where it does not. For short histories on one SKU.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.answers import Answer
from app.domain.commands import Command
from app.domain.model import Model

NOW = 0
CALLS_MAX = 24


@dataclass(frozen=True, slots=True)
class Call:
    """One call: when it was sent and answered, as numbers of one order of events."""

    command: Command
    answer: Answer
    sent: int
    answered: int


def find_order(history: Sequence[Call], model: Model) -> list[Call] | None:
    """Return an order of the calls that real time allows and the model accepts, or None if there is none."""
    assert len(history) <= CALLS_MAX, "the search grows with every call that overlaps"
    dead: set[tuple[frozenset[int], str]] = set()

    def search(left: frozenset[int], state: Model) -> list[int] | None:
        if not left:
            return []
        seen = (left, repr(state))
        if seen in dead:
            return None
        first_answer = min(history[i].answered for i in left)
        for i in sorted(left):
            if history[i].sent > first_answer:
                continue  # another call was answered before this one was sent
            after = copy.deepcopy(state)
            if after.apply(history[i].command, NOW) == history[i].answer:
                rest = search(left - {i}, after)
                if rest is not None:
                    return [i, *rest]
        dead.add(seen)
        return None

    order = search(frozenset(range(len(history))), model)
    return None if order is None else [history[i] for i in order]
