"""`locust -f loadtests/locustfile.py`: opens the usual page for the service at SELLABLE_API_URL.

`make loadtest` starts a service of its own and runs the same users without a page, along the shape of a sale.
"""

import os
from pathlib import Path
from typing import Any

from locust import events
from locust.env import Environment

from loadtests.judge import SERVER_ERROR
from loadtests.peak import SECONDS_VARIABLE
from loadtests.shop import CATALOGUE, JUDGE
from loadtests.users import Browse, Checkout, FlashSale

VERDICT_VARIABLE = "LOADTEST_VERDICT"
__all__ = ["Browse", "Checkout", "FlashSale"]

if SECONDS_VARIABLE in os.environ:  # with a shape, the page would not ask how many users to start
    from loadtests.peak import Peak

    __all__ += ["Peak"]


@events.request.add_listener
def notice(
    request_type: str, name: str, response: Any = None, exception: Exception | None = None, **_: Any
) -> None:
    """Tell the judge of every answer of 500 and more, and of requests that got none."""
    status = getattr(response, "status_code", 0)
    if status >= SERVER_ERROR or (status == 0 and exception is not None):
        JUDGE.server_error(f"{request_type} {name}: {status} {exception or ''}".rstrip())


@events.quitting.add_listener
def conclude(environment: Environment, **_: Any) -> None:
    """Leave the verdict; the process's code says whether there is anything to complain of."""
    if VERDICT_VARIABLE in os.environ:
        JUDGE.write(Path(os.environ[VERDICT_VARIABLE]), CATALOGUE.flash_sku)
    environment.process_exit_code = 0 if JUDGE.is_content else 1
