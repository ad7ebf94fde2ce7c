"""Tests on real servers."""

import pytest

pytest.register_assert_rewrite("tests.integration.function_cases")  # what differs is shown there, too
