"""Which requests are hot: method and target name a handler, or nothing does."""

from collections.abc import Sequence

from app.api.auth import ApiKeys
from app.api.hot.checkout import CREATE, STEP, Checkout
from app.api.hot.handlers import Handler
from app.api.hot.pages import MANY, ONE, Pages

_STEPS = (b"/confirm", b"/unlock", b"/deduct")


class HotRoutes:
    """Names the handler of a request."""

    def __init__(self, pages: Pages, checkout: Checkout, keys: ApiKeys) -> None:
        self._keys = keys
        self.ready_page = pages.ready
        self.ready_page_for = pages.ready_for
        self.count_ready_page = pages.count_ready
        self.pages = pages
        self._checkout = checkout

    def is_known(self, headers: Sequence[tuple[bytes, bytes]]) -> bool:
        """Whether a request's headers carry a key of ours, or none is needed."""
        given = [value for name, value in headers if name == b"authorization"]
        return self._keys.open or (len(given) == 1 and self._keys.find(given[0]) is not None)

    def match(self, method: bytes, target: bytes) -> Handler | None:
        """Return the handler, or None: then the application answers."""
        if method == b"GET" or method == b"HEAD":  # noqa: PLR1714 - twice as fast as a set, on every request
            if target.startswith(ONE):
                return self.pages.one
            return self.pages.many if target.startswith(MANY) else None
        if method == b"POST":
            if target == CREATE:
                return self._checkout.create
            if target.startswith(STEP) and target.endswith(_STEPS):
                return self._checkout.step
        return None


class PageRoutes(HotRoutes):
    """Of a process that serves pages only."""

    def match(self, method: bytes, target: bytes) -> Handler | None:
        """Return the handler of a page; all else is the application's."""
        return None if method == b"POST" else super().match(method, target)
