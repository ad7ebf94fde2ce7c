"""The shape of a sale: calm, a steep rise, a peak, calm again."""

import os

from locust import LoadTestShape

SECONDS_VARIABLE = "LOADTEST_SECONDS"
USERS_VARIABLE = "LOADTEST_USERS"
USERS_MAX = 200
# Until which share of the time, and which share of the users.
STAGES = ((0.2, 0.2), (0.35, 0.6), (0.75, 1.0), (1.0, 0.2))


class Peak(LoadTestShape):
    """Follows STAGES over LOADTEST_SECONDS with at most LOADTEST_USERS users."""

    def tick(self) -> tuple[int, float] | None:
        """Users now, and how many a second may come or go; None at the end."""
        seconds = float(os.environ.get(SECONDS_VARIABLE, "60"))
        users = int(os.environ.get(USERS_VARIABLE, USERS_MAX))
        passed = self.get_run_time() / seconds
        for until, share in STAGES:
            if passed < until:
                return max(1, round(users * share)), max(10.0, users / seconds * 10)
        return None
