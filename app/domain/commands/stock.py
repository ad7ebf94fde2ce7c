"""Commands about what SKUs have in warehouses, whatever documents say."""

from collections.abc import Sequence
from typing import ClassVar

from app.domain.answers import Answer
from app.domain.arguments import Arguments, json_text, optional
from app.domain.commands.base import Command, Effect, Shown
from app.domain.lines import Line, OpeningRow
from app.domain.ranking import Ranking


class Opening(Command, frozen=True, gc=False):
    """Set `on_hand` (and buffers) absolutely, of each row that finds what it expects."""

    rows: Sequence[OpeningRow]

    function: ClassVar[str] = "opening"
    shows: ClassVar[Shown] = "rows"

    @property
    def subject(self) -> str:
        """None."""
        return ""

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/opening.lua`. What the rows expect comes behind them, if any expects anything."""
        args: Arguments = [len(self.rows)]
        for row in self.rows:
            args += [row.sku, row.warehouse, row.on_hand, optional(row.buffer)]
        if any(row.expected is not None for row in self.rows):
            args += ["" if row.expected is None else row.expected for row in self.rows]
        return args

    def effect(self, answer: Answer) -> Effect:
        """What was set; how many units that changed is not known."""
        rows = (row for index, row in enumerate(self.rows) if index not in answer.left_out)
        set_to = ", ".join(f"{row.on_hand} {row.sku} in {row.warehouse}" for row in rows)
        return Effect(self.function, op=f"to {set_to}")


class Buffer(Command, frozen=True, gc=False):
    """Set the safety stock of SKUs in one warehouse absolutely; a line's `quantity`, from 0, is its buffer."""

    warehouse: str
    lines: tuple[Line, ...]

    function: ClassVar[str] = "buffer"

    @property
    def subject(self) -> str:
        """The warehouse."""
        return self.warehouse

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/buffer.lua`."""
        args: Arguments = [self.warehouse, len(self.lines)]
        for line in self.lines:
            args += [line.sku, line.quantity]
        return args


class Compensate(Command, frozen=True, gc=False):
    """Say again what a SKU has, so that the ledger can drop moves that it cannot book.

    The ledger has got to `version` with it, in these warehouses: a record that was made anew has less.
    """

    sku: str
    op: str
    reason: str
    version: int = 0
    warehouses: tuple[str, ...] = ()

    function: ClassVar[str] = "compensate"
    is_kept: ClassVar[bool] = False

    @property
    def subject(self) -> str:
        """The dropping of the SKU's moves."""
        return self.op

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/compensate.lua`. The fingerprint is the SKU's: an op stands for one drop."""
        args: Arguments = [self.op, "compensate", json_text(self.reason), self.sku, self.version]
        return [*args, *self.warehouses]


class Merge(Command, frozen=True, gc=False):
    """What is of one warehouse's code shall be of another one's: of a SKU, a lock or a transfer, its `id`."""

    id: str
    code: str
    into: str
    reason: str

    @property
    def subject(self) -> str:
        """The SKU, the lock or the transfer."""
        return self.id

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/merge.lua`."""
        return [self.id, self.code, self.into, json_text(self.reason)]


class MergeStock(Merge, frozen=True, gc=False):
    """What a SKU has in a warehouse is in another one."""

    function: ClassVar[str] = "merge_stock"


class MergeLock(Merge, frozen=True, gc=False):
    """What an open lock holds in a warehouse is held in another one."""

    function: ClassVar[str] = "merge_lock"


class MergeTransfer(Merge, frozen=True, gc=False):
    """An open transfer leads from, or to, another warehouse."""

    function: ClassVar[str] = "merge_transfer"
    shows: ClassVar[Shown] = "transfer"
