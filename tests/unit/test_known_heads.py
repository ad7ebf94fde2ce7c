"""What is read past the parser is what the parser would have read, for any bytes whatever."""

from typing import Any

import httptools
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.api.hot.handlers import COLD_HEADERS
from app.api.hot.known_heads import HEAD_BYTES_MAX, HEADS_MAX, KnownHeads, is_safe

METHODS = (b"GET", b"HEAD", b"POST", b"get", b"G ET", b"")
TARGETS = (b"/v1/availability/A", b"/v1/locks", b"/", b"*", b"/a b", b"/\xff", b"http://shop/v1/locks", b"")
VERSIONS = (b" HTTP/1.1", b" HTTP/1.0", b" HTTP/1.1 ", b" http/1.1", b"")
LINES = (
    b"Host: shop", b"host:shop", b"Content-Length: 3", b"Content-Length: 0", b"Content-Length: 03",
    b"Content-Length: 3 ", b"Content-Type: application/json", b"Connection: close", b"Connection: keep-alive",
    b"Authorization: Bearer k", b'If-None-Match: "1-2"', b"Transfer-Encoding: chunked", b"X: 1\n\nGET / HTTP/1.1",
    b"X: a\r\n b", b"X : 1", b"", b"\n", b"X: \x00",
)  # fmt: skip
BODIES = (
    b"",
    b"abc",
    b"ab",
    b"abcd",
    b"abcGET / HTTP/1.1\r\n\r\n",
    b"\r\n",
    b"GET /v1/locks HTTP/1.1\r\n\r\n",
)
ENDS = (b"\r\n\r\n", b"\r\n", b"\n\n", b"")


class Parsed:
    """What llhttp makes of some bytes, as the protocol class listens to it."""

    def __init__(self, data: bytes) -> None:
        self.messages: list[list[Any]] = []
        self.is_between = True
        self.keeps = False
        self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
            self.is_right = True
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.is_right = False

    def on_message_begin(self) -> None:
        self.is_between = False
        self.messages.append([b"", b"", [], b""])

    def on_url(self, url: bytes) -> None:
        self.messages[-1][1] += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.messages[-1][2].append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.messages[-1][0] = self._parser.get_method()
        self.keeps = self._parser.should_keep_alive() and self._parser.get_http_version() == "1.1"

    def on_body(self, body: bytes) -> None:
        self.messages[-1][3] += body

    def on_message_complete(self) -> None:
        self.is_between = True

    @property
    def is_one(self) -> bool:
        """Whether it is exactly one request, whole, after which the connection goes on."""
        return self.is_right and self.is_between and self.keeps and len(self.messages) == 1


@st.composite
def some_bytes(draw: st.DrawFn) -> bytes:
    lines = draw(st.lists(st.sampled_from(LINES), max_size=4))
    first = (
        draw(st.sampled_from(METHODS))
        + b" "
        + draw(st.sampled_from(TARGETS))
        + draw(st.sampled_from(VERSIONS))
    )
    data = b"\r\n".join([first, *lines]) + draw(st.sampled_from(ENDS)) + draw(st.sampled_from(BODIES))
    cut = draw(st.one_of(st.none(), st.integers(0, len(data))))
    return draw(st.sampled_from((b"", b"\r\n", b"\n"))) + data[:cut]


def learn(heads: KnownHeads, data: bytes) -> None:
    """As the protocol class does: only from what llhttp has found to be one hot request."""
    parsed = Parsed(data)
    if not parsed.is_one or any(name in COLD_HEADERS for name, _ in parsed.messages[0][2]):
        return
    method, target, headers, body = parsed.messages[0]
    heads.learn(data, method, target, headers, len(body))


GET = b"GET /v1/availability/A HTTP/1.1\r\nHost: shop\r\n\r\n"
POST = b"POST /v1/locks HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nabc"


@settings(max_examples=150)
@given(st.lists(some_bytes(), max_size=12), some_bytes())
@example([GET], GET.replace(b"1.1", b"1.0"))
@example([GET], b"GET / HTTP/1.1\r\nHost: shop")
@example([POST], b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nab")
@example([POST], b"POST / HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nabcd")
def test_it_reads_what_llhttp_reads(met: list[bytes], data: bytes) -> None:
    heads = KnownHeads()
    for other in met:
        learn(heads, other)
    for seen in (data, *met):
        whole = heads.read(seen)
        if whole is None or not is_safe(whole.target) or whole.method not in {b"GET", b"HEAD", b"POST"}:
            continue
        parsed = Parsed(seen)
        assert parsed.is_one, seen
        assert parsed.messages == [[whole.method, whole.target, whole.head.headers, whole.body]]


def test_a_block_serves_other_targets_and_bodies() -> None:
    heads = KnownHeads()
    learn(heads, GET)
    learn(heads, POST)
    page = heads.read(GET.replace(b"/A ", b"/B "))
    assert page is not None
    assert (page.target, page.head.is_plain) == (b"/v1/availability/B", True)
    lock = heads.read(POST.replace(b"abc", b"xyz"))
    assert lock is not None
    assert lock.body == b"xyz"
    assert heads.read(POST.replace(b"Length: 3", b"Length: 4")) is None


def test_what_changes_with_every_page_is_not_kept() -> None:
    heads = KnownHeads()
    tagged = GET.replace(b"\r\n\r\n", b'\r\nIf-None-Match: "1-1"\r\n\r\n')
    learn(heads, tagged)
    long = GET.replace(b"shop", b"s" * HEAD_BYTES_MAX)
    learn(heads, long)
    assert heads.read(tagged) is None
    assert heads.read(long) is None


def test_a_key_is_looked_at() -> None:
    heads = KnownHeads()
    with_key = GET.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer k\r\n\r\n")
    learn(heads, with_key)
    whole = heads.read(with_key)
    assert whole is not None
    assert not whole.head.is_plain


def test_it_forgets_before_it_grows_without_bound() -> None:
    heads = KnownHeads()
    for number in range(HEADS_MAX + 1):
        learn(heads, GET.replace(b"shop", b"shop%d" % number))
    assert heads.read(GET.replace(b"shop", b"shop0")) is None
    assert heads.read(GET.replace(b"shop", b"shop%d" % HEADS_MAX)) is not None
