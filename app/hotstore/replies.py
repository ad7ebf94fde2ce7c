"""What the functions reply, taken apart into the domain's answers."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from app.domain.answers import Answer, Beyond, Excess, LockLine, LockView, TransferLine, TransferView
from app.domain.commands import Command
from app.domain.events import Counts
from app.domain.outcomes import Outcome
from app.domain.sourcing import Shortage
from app.domain.words import COUNTED, LockStatus, TransferStatus

_lines = msgspec.json.Decoder(list[LockLine])
_beyond = msgspec.json.Decoder(list[Beyond])
_transfer_lines = msgspec.json.Decoder(list[TransferLine])
_indexes = msgspec.json.Decoder(list[int])
_FIELDS = {place.value: place.word for place in COUNTED}


class _ShortageReply(msgspec.Struct):
    sku: str
    requested: int
    sellable: int = 0
    held: int = 0
    warehouse: str = ""
    unknown: bool = False


_shortages = msgspec.json.Decoder(list[_ShortageReply])


def shortages_of(text: str) -> tuple[Shortage, ...]:
    """Read the shortages of a refusal."""
    return tuple(
        Shortage(s.sku, s.warehouse, s.requested, s.sellable, s.unknown) for s in _shortages.decode(text)
    )


def lock_of(reply: Sequence[str]) -> LockView:
    """Read [_, lock_id, _, status, expires_at or '', lines, version]."""
    lines = tuple(_lines.decode(reply[5]))
    expires_at = int(reply[4]) if reply[4] else None
    return LockView(reply[1], LockStatus(reply[3]), expires_at, lines, int(reply[6]))


class MoreOfLock(NamedTuple):
    """What may follow in an answer that shows a lock: of a repeat the status now, of a refusal its list as JSON.

    Then, as JSON, what was taken beyond what was on hand; and of a repeated creation whose lock has ended, the status
    that was answered first.
    """

    more: str = ""
    beyond_on_hand: str = ""
    original_status: str = ""


def more_of(reply: Sequence[str]) -> MoreOfLock:
    """Read what follows what `lock_of` reads."""
    return MoreOfLock(*reply[7:10])


def beyond_of(text: str) -> tuple[Beyond, ...]:
    """Read what was beyond what was on hand."""
    return tuple(_beyond.decode(text)) if text else ()


def answer_to(command: Command, reply: Sequence[str]) -> Answer:
    """Read the reply to a command."""
    if command.shows == "rows":
        return _rows_answer_of(reply)
    return transfer_answer_of(reply) if command.shows == "transfer" else answer_of(reply)


def answer_of(reply: Sequence[str]) -> Answer:
    """Read a reply that shows a lock, or no document."""
    outcome = Outcome(reply[0])
    match outcome:
        case Outcome.INSUFFICIENT_STOCK | Outcome.INSUFFICIENT_DAMAGED | Outcome.UNKNOWN_SKU:
            return Answer(outcome, shortages=shortages_of(reply[2]))
        case Outcome.QUANTITY_EXCEEDS_SHIPMENT:
            return Answer(outcome, exceeding=_excesses_of(reply[2]))
        case Outcome.BEYOND_ON_HAND if len(reply) < 7:
            return Answer(outcome, beyond_on_hand=beyond_of(reply[2]))
        case Outcome.WAREHOUSE_REQUIRED | Outcome.NO_RIGHTS:
            return Answer(outcome, detail=reply[-1])
    if len(reply) >= 7:
        return _lock_answer_of(outcome, reply)
    return Answer(outcome, position=reply[2] if len(reply) > 2 else "", detail="".join(reply[3:4]))


def _rows_answer_of(reply: Sequence[str]) -> Answer:
    """Read [_, '', position, how many rows changed something, numbers of those that were left out]."""
    if len(reply) < 5:
        return answer_of(reply)
    left_out = tuple(_indexes.decode(reply[4]))
    return Answer(Outcome(reply[0]), position=reply[2], detail=reply[3], left_out=left_out)


def _lock_answer_of(outcome: Outcome, reply: Sequence[str]) -> Answer:
    """Read an answer that shows a lock."""
    lock, (more, beyond, original) = lock_of(reply), more_of(reply)
    match outcome:
        case Outcome.QUANTITY_EXCEEDS_LOCK | Outcome.SHIPMENT_RETURNED:
            return Answer(outcome, lock, exceeding=_excesses_of(more))
        case Outcome.LOCK_EXPIRED:
            return Answer(outcome, lock, shortages_of(more) if more else ())
        case Outcome.REPEATED:
            return Answer(
                outcome,
                lock,
                current_status=LockStatus(more or lock.status),
                position=reply[2],
                beyond_on_hand=beyond_of(beyond),
                original_status=LockStatus(original) if original else None,
            )
    return Answer(outcome, lock, position=reply[2], beyond_on_hand=beyond_of(beyond))


def _excesses_of(text: str) -> tuple[Excess, ...]:
    return tuple(Excess(s.sku, s.warehouse, s.requested, s.held) for s in _shortages.decode(text))


def transfer_answer_of(reply: Sequence[str]) -> Answer:
    """Read a reply that shows a transfer.

    It shows one as [_, transfer_id, position, status, from, to, lines], and an eighth item says more of it.
    """
    if len(reply) < 7:
        return answer_of(reply)
    outcome, more = Outcome(reply[0]), reply[7] if len(reply) > 7 else ""
    lines = tuple(_transfer_lines.decode(reply[6]))
    view = TransferView(reply[1], reply[4], reply[5], TransferStatus(reply[3]), lines)
    if outcome is Outcome.QUANTITY_EXCEEDS_TRANSFER:
        return Answer(outcome, transfer=view, exceeding=_excesses_of(more))
    status = TransferStatus(more) if outcome is Outcome.REPEATED else None
    return Answer(outcome, transfer=view, current_status=status, position=reply[2])


class Stock:
    """A SKU's counts: `version`, and `Counts` by warehouse in code order."""

    __slots__ = ("sku", "version", "warehouses")

    def __init__(self, sku: str, fields: Sequence[str]) -> None:
        counts: dict[str, dict[str, int]] = {}
        self.sku = sku
        self.version = 0
        for name, value in zip(fields[::2], fields[1::2], strict=True):
            if name == "v":
                self.version = int(value)
            else:
                counts.setdefault(name[:-2], {})[_FIELDS[name[-1]]] = int(value)
        self.warehouses = {warehouse: Counts(**counts[warehouse]) for warehouse in sorted(counts)}
