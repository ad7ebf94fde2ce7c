"""Commands about a lock: hold stock for an order, and every step in the life of that."""

from typing import ClassVar

from app.domain.answers import Answer
from app.domain.arguments import Arguments, flag, json_text, optional
from app.domain.commands.base import Command, Effect, Moved, fingerprint_of, reason_content
from app.domain.lines import Line, line_arguments, lines_content
from app.domain.ranking import Ranking


class Lock(Command, frozen=True, gc=False):
    """Hold stock for one order, all lines or none; `ttl_ms` None never expires."""

    lock_id: str
    lines: tuple[Line, ...]
    warehouses: tuple[str, ...] = ()
    ttl_ms: int | None = 900_000

    function: ClassVar[str] = "lock"

    @property
    def subject(self) -> str:
        """The lock."""
        return self.lock_id

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again."""
        return fingerprint_of(self.ttl_ms, *self.warehouses, "\n", lines_content(self.lines))

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/lock.lua`."""
        args: Arguments = [self.lock_id, self.fingerprint, optional(self.ttl_ms)]
        args += [len(self.warehouses), *self.warehouses]
        return [*args, *ranking.arguments, *line_arguments(self.lines)]

    def effect(self, answer: Answer) -> Effect:
        """All that is held was taken."""
        return Effect(self.function, self.lock_id, moves=moves_of_lock(answer, "a", "l"))


class Step(Command, frozen=True, gc=False):
    """A step in a lock's life; `key` is the caller's Idempotency-Key, or ''."""

    lock_id: str
    key: str = ""

    @property
    def subject(self) -> str:
        """The lock."""
        return self.lock_id

    @property
    def op(self) -> str:
        """The id under which a repeat is recognised, or '' for none."""
        return f"key:{self.key}" if self.key else ""

    @property
    def fingerprint(self) -> str:
        """The content that a repeat must have again: the step, the lock, the body."""
        return fingerprint_of(type(self).__name__, self.lock_id, *self._content())

    def effect(self, answer: Answer) -> Effect:
        """Nothing moved, unless the step says otherwise."""
        return Effect(self.function, self.lock_id)

    def _content(self) -> tuple[object, ...]:
        return ()

    def _head(self) -> Arguments:
        return [self.lock_id, self.op, self.fingerprint]

    def _ended(self, answer: Answer, lines: tuple[Line, ...] | None, source: str, target: str) -> Effect:
        """The step's own lines moved if it named some, else those of the lock."""
        if lines is None:
            moves = moves_of_lock(answer, source, target, whole=True)
        else:
            moves = tuple(Moved(line.sku, line.warehouse, source, target, line.quantity) for line in lines)
        return Effect(self.function, self.lock_id, moves=moves)


class Confirm(Step, frozen=True, gc=False):
    """The order is paid: its lock no longer expires. One that had expired is sourced again."""

    function: ClassVar[str] = "confirm"

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/confirm.lua`."""
        return [*self._head(), *ranking.arguments]


class Extend(Step, frozen=True, gc=False):
    """Expire later, counted from now; None: never.

    With `expires_at` (ms) only a lock that still expires then: a condition, which a repeat need not have again.
    """

    ttl_ms: int | None = None
    expires_at: int | None = None

    function: ClassVar[str] = "extend"

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/extend.lua`."""
        condition = [] if self.expires_at is None else [str(self.expires_at)]
        return [*self._head(), optional(self.ttl_ms), *condition]

    def _content(self) -> tuple[object, ...]:
        return (self.ttl_ms,)


class Unlock(Step, frozen=True, gc=False):
    """Give back all that is left (`lines` None), or some."""

    lines: tuple[Line, ...] | None = None
    reason: str | None = None

    function: ClassVar[str] = "unlock"

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/unlock.lua`."""
        return [*self._head(), json_text(self.reason), *line_arguments(self.lines)]

    def effect(self, answer: Answer) -> Effect:
        """What it named, or all."""
        return self._ended(answer, self.lines, "l", "a")

    def _content(self) -> tuple[object, ...]:
        return (lines_content(self.lines), reason_content(self.reason))


class Deduct(Step, frozen=True, gc=False):
    """All that is left (`lines` None), or some, left the shelf in the shipment `key`.

    `only_if_on_hand` is a condition and no content: a repeat need not have it again. `occurred_at` in ms, None: when
    it is recorded.
    """

    lines: tuple[Line, ...] | None = None
    occurred_at: int | None = None
    only_if_on_hand: bool = False

    function: ClassVar[str] = "deduct"

    @property
    def op(self) -> str:
        """The shipment of this lock. A brace cannot occur in an id, so the two parts cannot be confused."""
        return f"{self.family}{{{self.key}"

    @property
    def family(self) -> str:
        """The shipments of the lock, which are compared with each other."""
        return f"deduct:{self.lock_id}"

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/deduct.lua`."""
        args: Arguments = [*self._head(), optional(self.occurred_at), flag(on=self.only_if_on_hand)]
        return args + line_arguments(self.lines)

    def effect(self, answer: Answer) -> Effect:
        """What it named, or all."""
        return self._ended(answer, self.lines, "l", "c")

    def _content(self) -> tuple[object, ...]:
        lines = lines_content(self.lines)
        return (lines,) if self.occurred_at is None else (lines, self.occurred_at)


class Void(Step, frozen=True, gc=False):
    """The shipment `key` never left: what it took (`lines`, each with its warehouse) is promised to the order again.

    Without lines it was voided before. `occurred_at` is when it was said to have left, in ms; None: now. Both are as
    the ledger has them: a repeat is known by the shipment alone.
    """

    lines: tuple[Line, ...] = ()
    occurred_at: int | None = None
    reason: str | None = None

    function: ClassVar[str] = "void"

    @property
    def op(self) -> str:
        """The voiding of this lock's shipment."""
        return f"void:{self.lock_id}{{{self.key}"

    @property
    def shipment_op(self) -> str:
        """The op of the shipment."""
        return Deduct(self.lock_id, self.key).op

    @property
    def family(self) -> str:
        """The shipments of the lock."""
        return Deduct(self.lock_id).family

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/void.lua`."""
        args = [*self._head(), self.shipment_op, optional(self.occurred_at), json_text(self.reason)]
        return args + line_arguments(self.lines or None)

    def effect(self, answer: Answer) -> Effect:
        """What the shipment had taken."""
        return self._ended(answer, self.lines or None, "c", "l")


class Replace(Step, frozen=True, gc=False):
    """Other lines, in one atomic swap; of a lock that shipped in part, for what has not shipped.

    Without `warehouses` those of the lock are kept. With `renews` its expiry is `ttl_ms` from now (None: never).
    `version` is the one that the lock must have: a condition, which a repeat need not have again.
    """

    lines: tuple[Line, ...] = ()
    warehouses: tuple[str, ...] = ()
    renews: bool = False
    ttl_ms: int | None = None
    version: int | None = None

    function: ClassVar[str] = "replace"

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/replace.lua`."""
        ttl: str | int = ""
        if self.renews:
            ttl = "never" if self.ttl_ms is None else self.ttl_ms
        args: Arguments = [*self._head(), optional(self.version), ttl, len(self.warehouses), *self.warehouses]
        return [*args, *ranking.arguments, *line_arguments(self.lines)]

    def effect(self, answer: Answer) -> Effect:
        """What it holds now, whatever of that it held before."""
        return Effect(self.function, self.lock_id, moves=moves_of_lock(answer, "a", "l"))

    def _content(self) -> tuple[object, ...]:
        renewal = ("ttl", self.ttl_ms) if self.renews else ()
        return (*self.warehouses, "\n", lines_content(self.lines), *renewal)


class Reopen(Step, frozen=True, gc=False):
    """Hold the stock of an expired or released lock again, until `ttl_ms` from now; None: without an end."""

    ttl_ms: int | None = None

    function: ClassVar[str] = "reopen"

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/reopen.lua`."""
        return [*self._head(), optional(self.ttl_ms), *ranking.arguments]

    def effect(self, answer: Answer) -> Effect:
        """All that is held was taken."""
        return Effect(self.function, self.lock_id, moves=moves_of_lock(answer, "a", "l"))

    def _content(self) -> tuple[object, ...]:
        return (self.ttl_ms,)


class Remember(Command, frozen=True, gc=False):
    """An id that no lock has is noted as released: a creation that comes later holds nothing."""

    lock_id: str

    function: ClassVar[str] = "remember"

    @property
    def subject(self) -> str:
        """The lock that is to come."""
        return self.lock_id

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/remember.lua`."""
        return [self.lock_id]

    def effect(self, answer: Answer) -> Effect:
        """No units moved."""
        return Effect(self.function, self.lock_id)


class Expire(Command, frozen=True, gc=False):
    """A held lock is overdue. `now_max`: the latest time in ms that its sweeper vouches for, None: any."""

    lock_id: str
    now_max: int | None = None

    function: ClassVar[str] = "expire"
    is_kept: ClassVar[bool] = False

    @property
    def subject(self) -> str:
        """The lock."""
        return self.lock_id

    def arguments(self, ranking: Ranking) -> Arguments:
        """See `lua/expire.lua`."""
        return [self.lock_id, optional(self.now_max)]


def moves_of_lock(answer: Answer, source: str, target: str, *, whole: bool = False) -> tuple[Moved, ...]:
    """Return moves of all units that an answer's lock still holds, or, if `whole`, of all that it is for."""
    lines = answer.lock.lines if answer.lock else ()
    units = ((line, line.quantity if whole else line.outstanding) for line in lines)
    return tuple(Moved(line.sku, line.warehouse, source, target, count) for line, count in units if count)
