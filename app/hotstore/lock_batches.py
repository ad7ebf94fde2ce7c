"""Locks on their way: those that come in one turn of the loop go to the hot store in one call.

A call costs Redis about as much as a fifth of a lock, whatever it carries. So locks share calls, a few in each, and
a full call leaves at once: Redis works on it while this process still reads the turn's other requests, where with
one large call at the end each would wait for the other. They share nothing else: each has its own answer, be it an
error, and when a shared call cannot be read at all, each is asked for alone. So is one for which the call had no room
any more: what orders have to look at is counted, that no call takes long.
"""

import asyncio
from typing import Any, NamedTuple

from hiredis import ReplyError

from app.domain.arguments import Arguments
from app.domain.outcomes import Outcome
from app.hotstore.connection import OnReply, hand_over
from app.hotstore.keys import Keys
from app.hotstore.library import Library
from app.hotstore.line import Line

LOCKS_PER_CALL_MAX = 8
"""More would save little, and the first of them would wait longer."""
ARGUMENTS_MAX = 120
"""A lock of many lines goes alone: nobody shall wait for it who need not."""
REFUSED_BY_GATE = frozenset({Outcome.NOT_READY, Outcome.UNKNOWN_LAYOUT, Outcome.STALE_EPOCH})
"""Answers of the gate: they are about the memory, whatever was asked."""


class _Lock(NamedTuple):
    """A lock that somebody asked for: what `Lock.arguments` made of it, and who gets the answer."""

    args: Arguments
    on_reply: OnReply


class LockBatches:
    """Gathers locks and sends them over `line`; each `on_reply` gets what the function `lock` would have replied."""

    def __init__(self, line: Line, keys: Keys, library: Library) -> None:
        self._line = line
        self._loop = asyncio.get_running_loop()
        self._meta = keys.meta
        self._one = library.function("lock")
        self._several = library.function("locks")
        self._waiting: dict[tuple[str, str], list[_Lock]] = {}
        self._gathering = False

    def call(self, epoch: str, who: str, args: Arguments, on_reply: OnReply) -> None:
        """Send a lock with the others of this turn; `args` as `Lock.arguments` makes them."""
        if len(args) > ARGUMENTS_MAX:
            self._send_one(epoch, who, _Lock(args, on_reply))
            return
        if not self._gathering:
            self._gathering = True
            self._loop.call_soon(self._send_rest)
        locks = self._waiting.setdefault((epoch, who), [])
        locks.append(_Lock(args, on_reply))
        if len(locks) == LOCKS_PER_CALL_MAX:
            del self._waiting[epoch, who]
            self._send_several(epoch, who, locks)
            self._line.flush()

    def _send_rest(self) -> None:
        self._gathering = False
        waiting, self._waiting = self._waiting, {}
        for (epoch, who), locks in waiting.items():
            self._send_several(epoch, who, locks)

    def _send_one(self, epoch: str, who: str, lock: _Lock) -> None:
        self._line.call(("FCALL", self._one, 1, self._meta, epoch, who, *lock.args), lock.on_reply)

    def _send_several(self, epoch: str, who: str, locks: list[_Lock]) -> None:
        if len(locks) == 1:
            self._send_one(epoch, who, locks[0])
            return

        def on_reply(reply: Any) -> None:
            if type(reply) is list and len(reply) == len(locks) and type(reply[0]) is not str:
                for lock, answer in zip(locks, reply, strict=True):
                    if type(answer) is list and answer[0] == Outcome.ASK_ALONE:
                        self._send_one(epoch, who, lock)
                    else:
                        hand_over(lock.on_reply, answer)
            elif isinstance(reply, ReplyError) or (
                type(reply) is list and str(reply[0]) not in REFUSED_BY_GATE
            ):
                for lock in locks:  # one of them broke the call: the others need not suffer for it
                    self._send_one(epoch, who, lock)
            else:
                for lock in locks:
                    hand_over(lock.on_reply, reply)

        args = [argument for lock in locks for argument in lock.args]
        self._line.call(("FCALL", self._several, 1, self._meta, epoch, who, *args), on_reply)
