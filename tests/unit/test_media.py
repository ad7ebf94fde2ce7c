"""Media types, as requests write them."""

import pytest
from fastapi import Request

from app.api.media import Media, check_encoding, media_of
from app.api.problems import ProblemError


@pytest.mark.parametrize(
    ("given", "media"),
    [
        (None, Media.JSON),
        ("", Media.JSON),
        ("application/json", Media.JSON),
        ("Application/JSON; charset=utf-8", Media.JSON),
        ("application/vnd.shop+json", Media.JSON),
        ('application/json; v=1; charset="UTF-8"', Media.JSON),
        ("application/json; charset=latin-1", None),
        ("application/json;charset=utf-16", None),
        ("application/json; charset=utf-8; charset=utf-7", None),
        ("application/x-ndjson; charset=us-ascii", None),
        ("text/csv; charset=windows-1252", Media.CSV),
        ("application/x-ndjson", Media.NDJSON),
        ("application/jsonl;v=1", Media.NDJSON),
        ("text/csv; header=present", Media.CSV),
        ("text/plain", None),
        ("application/jsonp", None),
        ("json", None),
    ],
)
def test_media_types(given: str | None, media: Media | None) -> None:
    headers = [] if given is None else [(b"content-type", given.encode())]
    assert media_of(Request({"type": "http", "headers": headers})) is media


def test_a_type_that_is_given_twice_is_none() -> None:
    headers = [(b"content-type", b"application/json"), (b"content-type", b"text/csv")]
    assert media_of(Request({"type": "http", "headers": headers})) is None


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, gzip", "x", "deflate"])
def test_bodies_come_as_they_are(coding: str) -> None:
    with pytest.raises(ProblemError) as caught:
        check_encoding(Request({"type": "http", "headers": [(b"content-encoding", coding.encode())]}))
    assert (caught.value.problem.status, caught.value.problem.code) == (415, "unsupported_encoding")
    check_encoding(Request({"type": "http", "headers": [(b"content-encoding", b"Identity")]}))
