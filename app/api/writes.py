"""What routes that book a command have in common: reach a level, count the outcome, tell the reply or the problem."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends, Response

from app.api import problems
from app.api.codes import check_codes, check_moved
from app.api.dependencies import Conf, MetricsOf, Ops, Who, level
from app.api.views import json_response
from app.domain.outcomes import Outcome
from app.domain.words import Durability
from app.operations.codes import Codes
from app.operations.durability import Told
from app.settings import Settings
from app.telemetry import Metrics

_EXCEEDS = frozenset({Outcome.QUANTITY_EXCEEDS_LOCK, Outcome.QUANTITY_EXCEEDS_TRANSFER})
C_contra = TypeVar("C_contra", contravariant=True)
C = TypeVar("C", bound=problems.Writing)


class Operation(Protocol[C_contra]):
    """An operation that books a command."""

    def __call__(self, command: C_contra, wanted: Durability, *, who: str) -> Awaitable[Told]:
        """Book it; a refusal is an answer."""


@dataclass(frozen=True, slots=True)
class Writes:
    """One request's: who calls, and what is counted."""

    settings: Settings
    codes: Codes
    who: str
    metrics: Metrics

    async def book(
        self,
        book: Operation[C],
        command: C,
        asked: Durability | None,
        reply: Callable[[Told], dict[str, Any]],
        *,
        created: Outcome | None = None,
        new_skus: bool = True,
    ) -> Response:
        """Book a command, and answer: 201 with its reply where the outcome is `created`, else 200.

        A command that names unknown warehouses is refused, and one with unknown SKUs unless those may be new.
        """
        await check_codes(self.codes, command, new_skus=new_skus)
        told = await book(command, level(asked, self.settings), who=self.who)
        self.metrics.count_outcome(_word(command), told.answer.outcome)
        if told.durability is None:
            if told.answer.outcome in _EXCEEDS:
                await check_moved(self.codes, command)
            return problems.of_answer(told.answer, command).response()
        return json_response(reply(told), 201 if told.answer.outcome is created else 200)


def _word(command: object) -> str:
    """The name of a command in the metrics."""
    return getattr(command, "kind", "") or type(command).__name__.lower()


async def _writes(settings: Conf, ops: Ops, who: Who, metrics: MetricsOf) -> Writes:
    return Writes(settings, ops.codes, who, metrics)


Write = Annotated[Writes, Depends(_writes)]
