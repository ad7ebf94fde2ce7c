"""Refusing requests for the codes in them, before anything is booked."""

from app.api import problems
from app.api.named import Named, Writing, moved_in, receivers_in, skus_in, warehouses_in
from app.api.problems import ProblemError
from app.operations.codes import BadCodes, Codes


async def check_codes(codes: Codes, request: Writing, *, new_skus: bool = True) -> None:
    """Raise `ProblemError` if a code in a request names nothing, unless it is a repeat; `new_skus`: SKUs may be new."""
    named, open_ones = list(warehouses_in(request)), list(receivers_in(request))
    skus = [] if new_skus else list(skus_in(request))
    bad = await codes.bad_in(named, open_ones, skus) if named or skus else None
    if bad is not None and not await codes.is_repeat(request):
        raise ProblemError(problems.of_codes(bad, {"warehouses": named, "closed": open_ones, "skus": skus}))


async def check_moved(codes: Codes, request: Writing) -> None:
    """Raise `ProblemError` if a step moves SKUs that nobody knows: asked once its document turns out to hold less."""
    named = list(moved_in(request))
    if unknown := await codes.known_skus.unknown_among(sku for _, sku in named):
        raise ProblemError(problems.of_codes(BadCodes(skus=unknown), {"skus": named}, may_be_new=False))


async def check_warehouses(codes: Codes, *named: Named) -> None:
    """Raise `ProblemError` if a warehouse that a reader asks about is none."""
    bad = await codes.bad_in(named)
    if bad is not None:
        raise ProblemError(problems.of_codes(bad, {"warehouses": named}))
