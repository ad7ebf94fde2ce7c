"""A short fuzzing of a whole service; `make fuzz` does it for longer."""

import pytest

from tests import fuzz


@pytest.mark.tier
@pytest.mark.parametrize("has_keys", [False, True], ids=["open", "with keys"])
def test_nothing_undocumented_comes_of_any_request(*, has_keys: bool) -> None:
    with fuzz.running(has_keys=has_keys) as url:
        found = fuzz.fuzz(url, has_keys=has_keys, seconds=25, chance=1)
    assert not found.failures, str(found)
    assert found.statuses.total() > 20
