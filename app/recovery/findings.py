"""What a comparison of the hot store's claims with the ledger can find, and what is done then."""

from enum import StrEnum
from typing import NamedTuple

from app.domain.chain import Entry, follows
from app.hotstore.gate import Claims
from app.ledger.snapshot_rows import LedgerTip


class Finding(StrEnum):
    """How the hot store stands to the ledger."""

    SAME = "same"
    """The tips are equal: open at once."""
    AHEAD = "ahead"
    """The hot store continues the ledger: open at once, the worker catches up."""
    BEHIND = "behind"
    """The hot store's tip is in the ledger's chain: replay what it missed, and open."""
    FORK = "fork"
    """Each has events that the other lacks: keep both branches, set what they touched after the ledger, open."""
    CARRY_OVER = "carry_over"
    """The ledger lacks events that the outbox has no more, or lost: book what the hot store holds, and open."""
    EMPTY = "empty"
    """There is no memory: rebuild."""
    DIFFERENT = "different"
    """Half rebuilt, damaged, or of another layout: keep what the ledger does not have, and rebuild."""


class Seen(NamedTuple):
    """What a comparison has to go by.

    `first_after` is the first outbox entry after the ledger's position, `at_ledger` the one there, `first` and `last`
    those of all;
    `tip_known` says whether the ledger has the event that the hot store calls its last. `first_tip` is that of the
    first event of the epoch that the ledger is in, if it is known.
    """

    claims: Claims
    ledger: LedgerTip
    layout_known: bool = True
    first: Entry | None = None
    first_after: Entry | None = None
    at_ledger: Entry | None = None
    last: Entry | None = None
    tip_known: bool = False
    first_tip: str | None = None


def judge(seen: Seen) -> Finding:
    """Compare."""
    claims = seen.claims
    if not claims.present:
        return Finding.EMPTY
    if claims.state not in {"ready", "shut", "carrying"} or not seen.layout_known:
        return Finding.DIFFERENT
    if claims.state == "carrying":
        return Finding.CARRY_OVER
    return Finding.SAME if claims.tip == seen.ledger.tip else _judge_chains(seen)


def _judge_chains(seen: Seen) -> Finding:
    """Compare what two different tips go back to."""
    ledger, after = seen.ledger, seen.first_after
    if not _is_whole(seen):
        return Finding.DIFFERENT
    if after is not None and after.prev == ledger.tip and follows(after.position, ledger.position):
        return Finding.AHEAD
    if seen.tip_known:
        return Finding.BEHIND
    if _has_gap(seen) or (_was_trimmed(seen) and not _has_other_branch(seen)):
        return Finding.CARRY_OVER
    return Finding.FORK


def _is_whole(seen: Seen) -> bool:
    """Whether the outbox ends where the memory says that it does."""
    last, claims = seen.last, seen.claims
    return last is not None and last.tip == claims.tip and last.position == claims.last


def _was_trimmed(seen: Seen) -> bool:
    """Whether all that is left in the outbox comes after the ledger's end, with a gap between."""
    return seen.first is not None and seen.first.position > seen.ledger.position


def _has_gap(seen: Seen) -> bool:
    """Whether this memory wrote the ledger's last event itself: then it went on from there, and the outbox lost how."""
    return seen.at_ledger is not None and seen.at_ledger.tip == seen.ledger.tip


def _has_other_branch(seen: Seen) -> bool:
    """Whether the ledger's last events are another memory's than this one's: what was trimmed cannot tell.

    But this memory knows how its epochs began. After a restored copy an epoch's number can be given out again; and
    an epoch that this memory left earlier, or never had, was gone on with elsewhere.
    """
    openings, at = seen.claims.openings, seen.ledger.position
    if at.epoch in openings and seen.first_tip is not None and openings[at.epoch].tip != seen.first_tip:
        return True
    later = min((epoch for epoch in openings if epoch > at.epoch), default=None)
    return later is not None and openings[later].before < at
