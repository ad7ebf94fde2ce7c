"""Media types, as requests write them."""

import pytest
from fastapi import Request

from app.api.media import Media, media_of


@pytest.mark.parametrize(
    ("given", "media"),
    [
        (None, Media.JSON),
        ("", Media.JSON),
        ("application/json", Media.JSON),
        ("Application/JSON; charset=utf-8", Media.JSON),
        ("application/vnd.shop+json", Media.JSON),
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
