"""What the API and the commands can do: every operation, with the stores that it needs."""

from app.bootstrap.connections import SHARD, Connections
from app.ledger.counts import CountRows
from app.ledger.documents import MismatchRows
from app.ledger.inbox import InboxRows
from app.ledger.ledger import Ledger
from app.ledger.lock_rows import LockRows
from app.ledger.merging import MergeRows
from app.ledger.openings import OpeningRows
from app.ledger.past import PastRows
from app.ledger.purchase_orders import PurchaseOrderRows
from app.ledger.reconciliations import ReconciliationRows
from app.ledger.shipments import ShipmentRows
from app.ledger.shortages import ShortageRows
from app.ledger.skus import SkuRows
from app.ledger.snapshots import Snapshots
from app.operations.adjustments import Adjustments
from app.operations.availability import Availability
from app.operations.buffers import Buffers
from app.operations.codes import Codes
from app.operations.compensations import Compensations
from app.operations.durability import Durabilities
from app.operations.exchanges import Exchanges
from app.operations.inbox import Inbox
from app.operations.inbox_counts import InboxCounts
from app.operations.lock_list import LockList
from app.operations.locks import Locks
from app.operations.merging import Merging
from app.operations.mismatches import Mismatches
from app.operations.once import Once
from app.operations.openings import Openings
from app.operations.operations import Operations
from app.operations.past import Past
from app.operations.past_documents import PastDocuments
from app.operations.purchase_orders import PurchaseOrders
from app.operations.reconciliations import Reconciliations
from app.operations.returns import Returns
from app.operations.shortages import Shortages
from app.operations.skus import Skus
from app.operations.stock import StockCounts
from app.operations.stock_takes import StockTakes
from app.operations.transfers import Transfers
from app.operations.unlocking import Unlocking
from app.operations.voiding import Voiding


def operations_of(stores: Connections) -> Operations:
    """What the API and the commands can do."""
    settings = stores.settings
    durabilities = durabilities_of(stores)
    ledger = Ledger(stores.engine)
    once, past = Once(ledger), PastDocuments(stores.hot, ledger, settings.horizon_seconds)
    stock_takes = StockTakes(stores.hot, once, CountRows(stores.engine), durabilities)
    return Operations(
        locks=Locks(stores.hot, ledger, durabilities, past),
        lock_list=LockList(stores.hot, LockRows(stores.engine), durabilities),
        unlocking=Unlocking(stores.hot, ledger, durabilities),
        voiding=Voiding(stores.hot, ShipmentRows(stores.engine), durabilities, past),
        availability=Availability(
            stores.hot,
            ranking=stores.ranking,
            entries_max=settings.stale_entries_max,
            stale_seconds_max=settings.stale_seconds_max,
        ),
        stock=StockCounts(stores.hot),
        returns=Returns(stores.hot, durabilities, past),
        adjustments=Adjustments(stores.hot, durabilities, past),
        openings=Openings(
            stores.hot, OpeningRows(stores.engine), CountRows(stores.engine), stock_takes, durabilities
        ),
        exchanges=Exchanges(stores.hot, durabilities, past),
        transfers=Transfers(stores.hot, ledger, durabilities, past),
        buffers=Buffers(stores.hot, durabilities),
        purchase_orders=PurchaseOrders(stores.hot, PurchaseOrderRows(stores.engine), past, durabilities),
        stock_takes=stock_takes,
        shortages=Shortages(stores.hot, ShortageRows(stores.engine), durabilities, settings.shortage_choice),
        inbox=inbox_of(stores, durabilities),
        mismatches=Mismatches(stores.hot, MismatchRows(stores.engine), past, durabilities),
        past=Past(stores.hot, PastRows(stores.engine), durabilities),
        reconciliations=Reconciliations(
            stores.hot, Snapshots(stores.engine, SHARD), ReconciliationRows(stores.engine)
        ),
        compensations=Compensations(
            stores.hot, ReconciliationRows(stores.engine), CountRows(stores.engine), durabilities
        ),
        codes=codes_of(stores, durabilities),
        merging=Merging(stores.hot, MergeRows(stores.engine), stores.warehouses, durabilities),
    )


def codes_of(stores: Connections, durabilities: Durabilities) -> Codes:
    """What knows which codes name a warehouse or a SKU."""
    known_skus = Skus(stores.hot, SkuRows(stores.engine), durabilities)
    plans = PurchaseOrderRows(stores.engine)
    return Codes(stores.warehouses, known_skus, stores.hot, Ledger(stores.engine), plans)


def inbox_of(stores: Connections, durabilities: Durabilities) -> Inbox:
    """What takes events of warehouse systems; the worker tries those that wait again."""
    ledger, settings = Ledger(stores.engine), stores.settings
    return Inbox(
        stores.hot,
        ledger,
        InboxRows(stores.engine),
        InboxCounts(stores.hot, CountRows(stores.engine), durabilities),
        PastDocuments(stores.hot, ledger, settings.horizon_seconds),
        durabilities,
        codes_of(stores, durabilities),
        settings.rules,
        wait_seconds=settings.inbox_wait_seconds,
    )


def durabilities_of(stores: Connections) -> Durabilities:
    """What waits until a write is as safe as was asked for."""
    return Durabilities(
        hot_level=lambda: stores.level.level,
        watch=stores.watch,
        wait_seconds=stores.settings.durability_wait_seconds,
        replicas=stores.replicas.held,
        has_replicas=lambda: stores.level.has_replicas,
    )
