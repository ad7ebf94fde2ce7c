"""All operations, bundled for whoever offers them."""

from dataclasses import dataclass

from app.operations.adjustments import Adjustments
from app.operations.availability import Availability
from app.operations.buffers import Buffers
from app.operations.codes import Codes
from app.operations.compensations import Compensations
from app.operations.exchanges import Exchanges
from app.operations.inbox import Inbox
from app.operations.lock_list import LockList
from app.operations.locks import Locks
from app.operations.merging import Merging
from app.operations.mismatches import Mismatches
from app.operations.openings import Openings
from app.operations.past import Past
from app.operations.purchase_orders import PurchaseOrders
from app.operations.reconciliations import Reconciliations
from app.operations.returns import Returns
from app.operations.shortages import Shortages
from app.operations.stock import StockCounts
from app.operations.stock_takes import StockTakes
from app.operations.transfers import Transfers
from app.operations.unlocking import Unlocking
from app.operations.voiding import Voiding


@dataclass(frozen=True, slots=True)
class Operations:
    """One attribute a capability."""

    locks: Locks
    lock_list: LockList
    unlocking: Unlocking
    voiding: Voiding
    availability: Availability
    stock: StockCounts
    returns: Returns
    adjustments: Adjustments
    openings: Openings
    transfers: Transfers
    exchanges: Exchanges
    buffers: Buffers
    purchase_orders: PurchaseOrders
    stock_takes: StockTakes
    shortages: Shortages
    inbox: Inbox
    mismatches: Mismatches
    past: Past
    reconciliations: Reconciliations
    compensations: Compensations
    codes: Codes
    merging: Merging
