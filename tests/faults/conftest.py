"""The kill test uses services of its own, as the acceptance tests do."""

from tests.acceptance.conftest import place, up

__all__ = ["place", "up"]
