"""Commands about a transfer: stock that goes from one warehouse to another."""

from typing import ClassVar, Literal

from app.domain.arguments import Arguments, json_text, optional
from app.domain.commands.base import Command, Shown, fingerprint_of
from app.domain.lines import Arrival, Line, line_arguments, lines_content, sum_arrivals
from app.domain.ranking import Ranking

OnTheWay = Literal["", "lost", "returned_to_source"]
"""What becomes of units on the way when their transfer is closed; `''`: they still arrive."""


class Transfer(Command, frozen=True, gc=False):
    """Stock is asked for at `source` for `destination`, all lines or none; the lines name no warehouse."""

    transfer_id: str
    source: str
    destination: str
    lines: tuple[Line, ...]

    function: ClassVar[str] = "transfer"
    shows: ClassVar[Shown] = "transfer"

    @property
    def subject(self) -> str:
        """The transfer."""
        return self.transfer_id

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again."""
        return fingerprint_of(self.source, self.destination, "\n", lines_content(self.lines))

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/transfer.lua`: all lines are taken at the source."""
        head: Arguments = [self.transfer_id, self.fingerprint, self.source, self.destination]
        return head + line_arguments(self.lines)


class TransferStep(Command, frozen=True, gc=False):
    """A step in a transfer's life; `key` is the shipment's or receipt's id. `occurred_at` in ms, None: now."""

    transfer_id: str
    key: str = ""
    occurred_at: int | None = None

    shows: ClassVar[Shown] = "transfer"

    @property
    def subject(self) -> str:
        """The transfer."""
        return self.transfer_id

    @property
    def op(self) -> str:
        """The id under which a repeat is recognised, or '' for none."""
        return f"{self.function}:{self.transfer_id}{{{self.key}" if self.key else ""

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again."""
        return fingerprint_of(self.function, self.transfer_id, self.occurred_at, *self._content())

    def _content(self) -> tuple[object, ...]:
        return ()

    def _head(self) -> Arguments:
        return [self.transfer_id, self.op, self.fingerprint]


class TransferShip(TransferStep, frozen=True, gc=False):
    """All that is left (`lines` None), or some, left the source in the shipment `key`; it is on the way."""

    lines: tuple[Line, ...] | None = None

    function: ClassVar[str] = "transfer_ship"

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/transfer_ship.lua`."""
        return [*self._head(), optional(self.occurred_at), *line_arguments(self.lines)]

    def _content(self) -> tuple[object, ...]:
        return (lines_content(self.lines),)


class TransferReceive(TransferStep, frozen=True, gc=False):
    """What was on the way arrived, or was lost, as the receipt `key` says."""

    lines: tuple[Arrival, ...] = ()

    function: ClassVar[str] = "transfer_receive"

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/transfer_receive.lua`."""
        args: Arguments = [*self._head(), optional(self.occurred_at), len(self.lines)]
        for line in self.lines:
            args += line
        return args

    def _content(self) -> tuple[object, ...]:
        return tuple("\t".join(map(str, line)) for line in sum_arrivals(self.lines))


class TransferCancel(TransferStep, frozen=True, gc=False):
    """What a transfer has not shipped yet is not needed any more."""

    function: ClassVar[str] = "transfer_cancel"

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/transfer_cancel.lua`."""
        return self._head()


class TransferClose(TransferStep, frozen=True, gc=False):
    """Nothing more of a transfer is shipped; what becomes of units on the way, and why."""

    in_transit: OnTheWay = ""
    reason: str | None = None

    function: ClassVar[str] = "transfer_close"

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/transfer_close.lua`."""
        return [*self._head(), self.in_transit, json_text(self.reason)]

    def _content(self) -> tuple[object, ...]:
        return (self.in_transit,)
