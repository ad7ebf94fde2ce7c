"""Puts the parts together, a process a file: the only place that knows everything."""

from app.bootstrap.api import Api, open_api
from app.bootstrap.stores import Stores, open_operations, open_stores
from app.bootstrap.tools import LedgerBooks, open_ledger
from app.bootstrap.worker import open_worker

__all__ = [
    "Api",
    "LedgerBooks",
    "Stores",
    "open_api",
    "open_ledger",
    "open_operations",
    "open_stores",
    "open_worker",
]
