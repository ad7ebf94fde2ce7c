"""What a comparison of the hot store's claims with the ledger can find, and what is done then."""

from enum import StrEnum

from app.domain.chain import Entry
from app.domain.events import Position
from app.hotstore.gate import Claims
from app.ledger.recovery_rows import LedgerTip


class Finding(StrEnum):
    """How the hot store stands to the ledger."""

    SAME = "same"
    """The tips are equal: open at once."""
    AHEAD = "ahead"
    """The hot store continues the ledger: open at once, the worker catches up."""
    EMPTY = "empty"
    """There is no memory: rebuild."""
    DIFFERENT = "different"
    """Behind, forked, half rebuilt or of another layout: keep what the ledger does not have, and rebuild."""


def judge(
    claims: Claims, ledger: LedgerTip, first_after: Entry | None, last: Entry | None, *, layout_known: bool
) -> Finding:
    """Compare. `first_after` is the first outbox entry after the ledger's position, `last` the last of all."""
    if not claims.present:
        return Finding.EMPTY
    if claims.state != "ready" or not layout_known:
        return Finding.DIFFERENT
    if claims.tip == ledger.tip:
        return Finding.SAME
    continues = (
        first_after is not None and first_after.prev == ledger.tip and _follows(first_after, ledger.position)
    )
    whole = last is not None and last.tip == claims.tip and last.position == claims.last
    return Finding.AHEAD if continues and whole else Finding.DIFFERENT


def _follows(entry: Entry, position: Position) -> bool:
    same_epoch = entry.position == Position(position.epoch, position.n + 1)
    return same_epoch or (entry.position.epoch > position.epoch and entry.position.n == 0)
