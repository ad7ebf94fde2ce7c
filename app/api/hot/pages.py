"""Availability, hot: from the near cache, as bytes that are ready to send."""

import re
from collections.abc import Sequence
from functools import lru_cache
from time import perf_counter
from typing import NamedTuple

import msgspec

from app.api.auth import ApiKeys
from app.api.caching import page_headers
from app.api.hot.handlers import Decline, HotCounts, HotRequest, Respond, head_of, send_problem
from app.api.problems import ProblemError
from app.api.strict import decode_percent
from app.domain.codes import check_sku
from app.domain.ranking import Ranking
from app.domain.warehouses import closed_mark
from app.hotstore.near_cache import Entry, NearCache
from app.operations.availability import Page

ONE = b"/v1/availability/"
MANY = b"/v1/availability?"
SKUS_MAX = 200
REQUEST_BYTES_MAX = 1024
REQUESTS_MAX = 16_384
"""Whole requests that are remembered: 16 MB at most."""
_PLAIN = re.compile(rb"/v1/availability/([A-Za-z0-9._~-]{1,64})")
_JSON = b"application/json"
_NO_STORE = (b"cache-control", b"no-store")
_ROUTE_ONE = "/v1/availability/{sku}"
_PAGE_200 = ("GET", _ROUTE_ONE, 200)
_PAGE_HEAD_200 = ("HEAD", _ROUTE_ONE, 200)
_ROUTE_MANY = "/v1/availability"


class _Warehouse(msgspec.Struct):
    sellable: int


class _Warehouses(msgspec.Struct):
    warehouses: dict[str, _Warehouse]


_warehouses = msgspec.json.Decoder(_Warehouses)


class PageBytes:
    """A product page's answer, ready to send; the server may keep the whole answer beside it, with its date.

    `version` is the entity tag without its quotes. `closed`: the warehouses that were closed when it was rendered.
    """

    __slots__ = ("body", "closed", "head", "version", "wire", "wire_of")

    def __init__(self, body: bytes, head: bytes, version: str, closed: frozenset[str]) -> None:
        self.body = body
        self.head = head
        self.version = version
        self.closed = closed
        self.wire = b""
        self.wire_of: object = None


class Pages:
    """The handlers of product pages. `stale_seconds_max` bounds how old a last known answer may be.

    `ranking` says which warehouses are closed: their units are not shown as sellable.
    """

    def __init__(
        self,
        keys: ApiKeys,
        counts: HotCounts,
        *,
        cache_control: str,
        stale_seconds_max: float,
        ranking: Ranking,
    ) -> None:
        self._keys = keys
        self._counts = counts
        self._ranking = ranking
        kept = page_headers(cache_control, for_all=keys.open)
        self._caching = tuple(
            (name.lower().encode(), value.encode("latin-1")) for name, value in kept.items()
        )
        self._caching_lines = "".join(f"{name.lower()}: {value}\r\n" for name, value in kept.items())
        self._stale_seconds_max = stale_seconds_max
        self._targets: dict[bytes, Entry[PageBytes]] = {}
        self._requests: dict[bytes, Entry[PageBytes]] = {}
        self.cache: NearCache[PageBytes]

    def render(self, sku: str, fields: dict[str, str]) -> PageBytes:
        """Make the bytes of a SKU's page, once per change; raise `ValueError` for fields that are none of ours."""
        epoch = self.cache.line.epoch if self.cache.line else ""
        closed = self._ranking.closed
        shape = _shape_of(tuple(fields), closed)
        body, version = _body_of(sku, fields, shape), f"{epoch}-{fields['v']}{shape.mark}"
        head = f"{self._marks(version)}content-length: {len(body)}\r\ncontent-type: application/json\r\n"
        return PageBytes(body, head.encode("latin-1"), version, closed)

    def _marks(self, version: str) -> str:
        """Return the header lines that a page and its 304 share."""
        return f'etag: "{version}"\r\n{self._caching_lines}'

    def ready(self, target: bytes) -> PageBytes | None:
        """Return the page of a plain GET that can be answered at once; None if it needs a closer look."""
        entry = self._targets.get(target)
        if entry is None or not self.cache.is_right(entry):
            return None
        return entry.value

    def ready_for(self, request: bytes) -> PageBytes | None:
        """Return the page of a whole request that was answered by `ready` before, byte for byte; as `ready`."""
        entry = self._requests.get(request) if self._requests else None
        if entry is None or not self.cache.is_right(entry):
            return None
        return entry.value

    def remember_request(self, request: bytes, target: bytes) -> None:
        """Let these very bytes, a plain GET of a target that `ready` answers, be answered at once the next time."""
        if len(request) > REQUEST_BYTES_MAX:
            return
        if len(self._requests) >= REQUESTS_MAX:
            self._requests.clear()
        self._requests[request] = self._targets[target]

    def last_known(self, sku: str) -> tuple[float, Page] | None:
        """Return what is known of a SKU, right or not any more: see `operations.availability.OtherMemory`."""
        entry = self.cache.get(sku)
        if entry is None:
            return None
        epoch, version = entry.value.version.split("-")[:2]
        told = _warehouses.decode(entry.value.body).warehouses
        page = Page(sku, epoch, int(version), {code: one.sellable for code, one in told.items()}, stale=False)
        return self.cache.stale_seconds(entry), page

    def count_ready(self) -> None:
        """Note that such a page was sent."""
        self.cache.counts.hits += 1
        self._counts.count_as(_PAGE_200)

    def one(self, request: HotRequest, respond: Respond, decline: Decline) -> None:
        """GET and HEAD /v1/availability/{sku}."""
        sku = self._sku_of(request.target)
        if sku is None:
            decline()
            return
        if not self._admits(request, _ROUTE_ONE, respond):
            return
        entry = self.cache.get(sku)
        if entry is not None and self.cache.is_right(entry):
            self.cache.counts.hits += 1
            self._remember(request.target, entry)
            self._send(request, entry, respond)
        elif self.cache.is_away():
            self._send_stale(request, entry, respond, decline)
        else:
            began = perf_counter()
            self.cache.fetch(sku, lambda found: self.answer(request, sku, found, began, respond, decline))

    def many(self, request: HotRequest, respond: Respond, decline: Decline) -> None:
        """GET /v1/availability?sku=A&sku=B, of SKUs that need no decoding."""
        skus = _plain_skus(request.target[len(MANY) :])
        if skus is None or request.method != b"GET" or self.cache.is_away():
            decline()
            return
        if not self._admits(request, _ROUTE_MANY, respond):
            return
        found: dict[str, Entry[PageBytes] | None] = {}
        missing = []
        for sku in skus:
            entry = self.cache.get(sku)
            if entry is not None and self.cache.is_right(entry):
                self.cache.counts.hits += 1
                found[sku] = entry
            else:
                missing.append(sku)
        began = perf_counter()
        if not missing:
            self._send_many(skus, found, began, respond, decline)
            return
        left = len(missing)

        def arrived(sku: str, entry: Entry[PageBytes] | None) -> None:
            nonlocal left
            found[sku] = entry if entry is not None and self.cache.is_right(entry) else None
            left -= 1
            if left == 0:
                self._send_many(skus, found, began, respond, decline)

        for sku in missing:
            self.cache.fetch(sku, lambda entry, sku=sku: arrived(sku, entry))  # type: ignore[misc]

    def may_fetch(self, sku: str) -> bool:
        """Whether anybody may read a page, and it has to be read, and can be: `accept` takes what comes."""
        entry = self.cache.get(sku)
        is_known = entry is not None and self.cache.is_right(entry)
        return self._keys.open and not is_known and not self.cache.is_away()

    def accept(self, entry: Entry[PageBytes] | None, target: bytes, began: float) -> PageBytes | None:
        """Return the page that was read for a plain GET, which counts as sent; None if it cannot be sent as it is.

        `began`: when it was asked for, by `time.perf_counter`.
        """
        if entry is None or not self.cache.is_right(entry):
            return None
        self._remember(target, entry)
        self._counts.count_as(_PAGE_200)
        self._counts.latencies[_ROUTE_ONE].observe(perf_counter() - began)
        return entry.value

    def answer(
        self,
        request: HotRequest,
        sku: str,
        found: Entry[PageBytes] | None,
        began: float,
        respond: Respond,
        decline: Decline,
    ) -> None:
        """Answer with what was read, or without it; `began` as in `accept`."""
        if found is not None and self.cache.is_right(found):
            self._remember(request.target, found)
            self._send(request, found, respond)
            self._counts.latencies[_ROUTE_ONE].observe(perf_counter() - began)
        elif self.cache.is_away():  # meanwhile, or what came was too long under way
            self._send_stale(request, found or self.cache.get(sku), respond, decline)
        else:
            decline()

    def _send(self, request: HotRequest, entry: Entry[PageBytes], respond: Respond) -> None:
        page = entry.value
        if not request.is_plain and _names(request.all(b"if-none-match"), page.version):
            self._counts.count(request.method.decode(), _ROUTE_ONE, 304)
            respond(304, self._marks(page.version).encode("latin-1"), b"")
            return
        self._counts.count_as(_PAGE_200 if request.method == b"GET" else _PAGE_HEAD_200)
        respond(200, page.head, page.body)

    def _send_stale(
        self, request: HotRequest, entry: Entry[PageBytes] | None, respond: Respond, decline: Decline
    ) -> None:
        if entry is None or self.cache.stale_seconds(entry) > self._stale_seconds_max:
            decline()
            return
        if entry.value.closed != self._ranking.closed:  # the checked way shows what is closed now
            decline()
            return
        body = entry.value.body[:-1] + b',"stale":true}'
        self._counts.count(request.method.decode(), _ROUTE_ONE, 200)
        respond(200, head_of(_JSON, len(body), _NO_STORE), body)

    def _send_many(
        self,
        skus: Sequence[str],
        found: dict[str, Entry[PageBytes] | None],
        began: float,
        respond: Respond,
        decline: Decline,
    ) -> None:
        items = [entry.value.body for sku in skus if (entry := found[sku]) and self.cache.is_right(entry)]
        if len(items) < len(skus):  # unknown SKUs, or overtaken by a change: the checked way says so
            decline()
            return
        body = b'{"items":[%b],"unknown":[]}' % b",".join(items)
        self._counts.count("GET", _ROUTE_MANY, 200)
        self._counts.latencies[_ROUTE_MANY].observe(perf_counter() - began)
        respond(200, head_of(_JSON, len(body), *self._caching), body)

    def _admits(self, request: HotRequest, route: str, respond: Respond) -> bool:
        """Whether the caller may read, now; if not, that was answered."""
        if self._keys.open:
            return True
        try:
            key = self._keys.check(
                request.header(b"authorization"), "read", request.address, is_counted=request.is_counted
            )
        except ProblemError as error:
            request.who = error.who
            self._counts.count(request.method.decode(), route, error.problem.status)
            send_problem(error.problem, respond)
            return False
        request.who = key.name if key else ""
        request.is_counted = True
        return True

    def _remember(self, target: bytes, entry: Entry[PageBytes]) -> None:
        """Let the next plain request of this very target be answered at once, if anybody may ask."""
        if self._keys.open and self.cache.get(entry.sku) is entry:
            if len(self._targets) >= self.cache.entries_max:
                self._targets.clear()
            self._targets[target] = entry

    def _sku_of(self, target: bytes) -> str | None:
        """Return the SKU of a target; None if it is not that simple, or none: then the application has its say."""
        raw = target[len(ONE) :]
        if b"?" in raw or b"/" in raw or b"#" in raw or not raw.isascii():
            return None
        try:
            return check_sku(decode_percent(raw) if b"%" in raw else raw.decode())
        except ValueError:
            return None


def plain_sku(target: bytes) -> str | None:
    """Return the SKU of a page's target that needs no decoding and means one thing to any parser; else None."""
    found = _PLAIN.fullmatch(target)
    return found[1].decode() if found else None


class _Shape(NamedTuple):
    """What pages with the same fields share: their warehouses by code, and what their tags end with.

    Of each warehouse: the field of its available units, '' if it is closed; that of its buffer or ''; its code.
    """

    warehouses: list[tuple[str, str, str]]
    mark: str


def _body_of(sku: str, fields: dict[str, str], shape: _Shape) -> bytes:
    """Return the bytes of `views.of_page`; a code needs no escaping in JSON. A test holds the two together."""
    total, parts = 0, []
    for available, buffer, name in shape.warehouses:
        sellable = int(fields[available]) if available else 0
        sellable = max(sellable - (int(fields[buffer]) if buffer else 0), 0)
        total += sellable
        parts.append(f'"{name}":{{"sellable":{sellable}}}')
    in_stock = "true" if total > 0 else "false"
    return (
        f'{{"sku":"{sku}","sellable":{total},"in_stock":{in_stock},"version":{int(fields["v"])},'
        f'"warehouses":{{{",".join(parts)}}}}}'
    ).encode()


@lru_cache(maxsize=1024)  # the SKUs of a shop have few sets of fields
def _shape_of(names: tuple[str, ...], closed: frozenset[str]) -> _Shape:
    codes = sorted(name[:-2] for name in names if name[-2:] == ":a")
    warehouses = [
        ("" if code in closed else f"{code}:a", f"{code}:b" if f"{code}:b" in names else "", code)
        for code in codes
    ]
    return _Shape(warehouses, closed_mark(closed.intersection(codes)))


def _names(conditions: Sequence[bytes], version: str) -> bool:
    """Whether If-None-Match names a page's tag: lists, weak tags and `*` (RFC 9110, 13.1.2)."""
    if not conditions:
        return False
    tag = f'"{version}"'.encode()
    named = [part.strip(b" \t").removeprefix(b"W/") for line in conditions for part in line.split(b",")]
    return tag in named or [line.strip(b" \t") for line in conditions] == [b"*"]


def _plain_skus(query: bytes) -> list[str] | None:
    """Return the SKUs of `sku=A&sku=B`, each once; None if anything has to be decoded, or is not that."""
    if b"%" in query or b"+" in query or b"#" in query or not query.isascii():
        return None
    parts = query.decode().split("&")
    if len(parts) > SKUS_MAX or not all(part.startswith("sku=") for part in parts):
        return None
    try:
        return list(dict.fromkeys(check_sku(part[4:]) for part in parts))
    except ValueError:
        return None
