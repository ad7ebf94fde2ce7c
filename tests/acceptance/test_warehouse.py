"""A warehouse system beside a checkout, with kills: each event counts once, and nothing differs."""

import asyncio
from collections.abc import Callable

import pytest

from tests.acceptance.service import Service
from tests.histories.warehouse import WAIT_SECONDS, live

SETTINGS = {"SELLABLE_INBOX_WAIT_SECONDS": str(WAIT_SECONDS)}


@pytest.mark.tier
def test_a_few_seconds_of_a_warehouse_with_kills(up: Callable[..., Service]) -> None:
    outcome = asyncio.run(live(up(env=SETTINGS).ready(), seconds=4, kill_every=1.5, seed=1))
    assert outcome.problems == []
    assert outcome.kills >= 2
    assert outcome.statuses["applied"] > 100


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_minute_of_a_warehouse_with_kills(up: Callable[..., Service]) -> None:
    outcome = asyncio.run(live(up(env=SETTINGS).ready(), seconds=60, kill_every=5, seed=2))
    assert outcome.problems == []
    assert outcome.kills >= 8
