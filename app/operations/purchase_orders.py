"""Purchase orders: plans, and what came in for them.

The plan is Postgres' own; the receipt is an event like any other, whose units the ledger's writer adds to the
order. So a receipt needs Postgres twice: to know the order, and to say what came beyond it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.answers import Answer
from app.domain.commands import Booking, Receive
from app.domain.events import Position
from app.domain.purchase_orders import Arrived, Expected, Plan, PurchaseOrder
from app.domain.words import Durability
from app.hotstore.store import HotStore
from app.ledger.purchase_orders import PurchaseOrderRows
from app.operations.durability import Durabilities, Told
from app.operations.past_documents import PastDocuments

__all__ = ["Arrived", "Created", "Expected", "Plan", "PurchaseOrder", "PurchaseOrders", "Received"]


@dataclass(frozen=True, slots=True)
class Created:
    """What creating came to: `new`, or a repeat of the same content; `order` None: the id has other content."""

    order: PurchaseOrder | None
    new: bool


@dataclass(frozen=True, slots=True)
class Received:
    """What a receipt came to. `over` has the SKUs beyond the plan with this receipt; None: not known in time."""

    told: Told
    order: PurchaseOrder
    over: tuple[Arrived, ...] | None


@dataclass(frozen=True, slots=True)
class PurchaseOrders:
    """Every step raises `UnavailableError` without Postgres; a receipt raises what `HotStore` raises too."""

    hot: HotStore
    plans: PurchaseOrderRows
    past: PastDocuments
    durabilities: Durabilities

    async def create(self, plan: Plan, *, who: str = "") -> Created:
        """Keep a plan, once per purchase_order_id."""
        new = await self.plans.add(plan, who)
        order = await self.plans.find(plan.purchase_order_id)
        same = order is not None and order.fingerprint == plan.fingerprint
        return Created(order if same else None, new)

    async def get(self, purchase_order_id: str) -> PurchaseOrder | None:
        """Return an order as the ledger knows it, or None."""
        return await self.plans.find(purchase_order_id)

    async def list(self, after: str, items_max: int) -> list[PurchaseOrder]:
        """Return the next orders by id."""
        return await self.plans.after(after, items_max)

    async def close(self, purchase_order_id: str) -> PurchaseOrder | None:
        """Expect nothing more of an order; None if there is none."""
        await self.plans.close(purchase_order_id)
        return await self.plans.find(purchase_order_id)

    async def expected(
        self, after: tuple[str, str, int], items_max: int, *, sku: str | None, warehouse: str | None
    ) -> Sequence[Expected]:
        """Return what open orders still bring, by SKU, warehouse and time."""
        return await self.plans.expected_after(after, items_max, sku=sku, warehouse=warehouse)

    async def receive(
        self,
        purchase_order_id: str,
        receipt_id: str,
        lines: tuple[Booking, ...],
        wanted: Durability,
        *,
        occurred_at: int | None,
        who: str = "",
    ) -> Received | None:
        """Book what came in, once per receipt_id for ever; None if nobody has planned the order.

        Units beyond the plan, and those of a closed order, are booked: they are there.
        """
        order = await self.plans.find(purchase_order_id)
        if order is None:
            return None
        command = Receive(receipt_id, order.warehouse, lines, occurred_at, purchase_order_id)
        # An id stands for one receipt for ever: the ledger knows those of before the hot store's horizon.
        answer = await self.past.known(command) or await self.hot.execute(command, who)
        told = await self.durabilities.settle(answer, wanted)
        if told.durability is None:
            return Received(told, order, None)
        return Received(told, order, await self._over(purchase_order_id, lines, answer))

    async def _over(
        self, purchase_order_id: str, lines: Sequence[Booking], answer: Answer
    ) -> tuple[Arrived, ...] | None:
        """The SKUs of a receipt that are beyond the plan, as of that very receipt: a repeat tells the same."""
        if await self.durabilities.reach(answer.position, "ledger") != "ledger":
            return None
        arrived = await self.plans.arrived(purchase_order_id, Position.parse(answer.position))
        skus = {line.sku for line in lines}
        return tuple(one for one in arrived if one.over and one.sku in skus)
