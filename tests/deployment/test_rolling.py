"""Restarts and upgrades, a process after another, under load: behind a balancer that asks /readyz no request fails."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.deployment.balanced import Balancer, Shop, shops
from tests.deployment.services import HOST, Code, Deployment, bundled, code_of, deployment
from tests.servers import until

FIRST = "b4fb8b49de3b8d638ef73e99aac49cbc733c3b17"
"""The first commit whose parts can be started one by one."""
APIS = ("api", "api2")
SHOPS = 3
TAKEN_OUT_SECONDS = 1.0
"""What is under way in a process that gets nothing more is answered by then."""


@contextmanager
def selling(code: Code | None = None) -> Iterator[tuple[Deployment, Balancer, list[Shop]]]:
    """Two API processes and a worker, run by some code, with shops that buy all the time; they must not fail."""
    with deployment(bundled()) as deployed:
        new, deployed.code = deployed.code, code or deployed.code
        deployed.up()
        deployed.start("api2")
        stock = deployed.place / "stock.csv"
        stock.write_text("sku,warehouse,quantity\nA,north,1000000\n")
        assert deployed.sellable("import-stock", str(stock)).returncode == 0
        balancer = Balancer([(HOST, deployed.ports[name]) for name in APIS])
        with shops(balancer, SHOPS, "of-the-boss") as buyers:
            sold(buyers, 50)
            deployed.code = new
            yield deployed, balancer, buyers
            sold(buyers, 50)
        assert [failure for one in buyers for failure in one.failures] == []
        assert deployed.sellable("verify").returncode == 0
        assert deployed.sellable("lost", "list").stdout == "0 events lost, 0 counts set right\n"


def sold(buyers: list[Shop], more: int) -> None:
    """Wait until they have had so many answers more."""
    wanted = sum(one.answers.total() for one in buyers) + more
    until(lambda: sum(one.answers.total() for one in buyers) >= wanted)


def restart(deployed: Deployment, balancer: Balancer, name: str, *, by_hand: bool = False) -> None:
    """Restart one process; the next one's turn comes when the balancer sends something to this one again."""
    backend = (HOST, deployed.ports.get(name, 0))
    if by_hand and name in APIS:  # it does not say itself that it is about to end
        balancer.take_out(backend)
        time.sleep(TAKEN_OUT_SECONDS)
    deployed.stop(name)
    deployed.start(name)
    balancer.put_back(backend)
    if name in APIS:
        until(lambda: backend in balancer.ready())


@pytest.mark.tier
def test_a_rolling_restart_fails_no_request() -> None:
    with selling() as (deployed, balancer, buyers):
        for name in ("api", "worker", "api2"):
            restart(deployed, balancer, name)
            sold(buyers, 20)
        stopped = [said for said in balancer.went_out if "being stopped" in said]
        assert len(stopped) == len(APIS)  # the balancer knew of each before it ended


@pytest.mark.tier
@pytest.mark.parametrize("order", [("api", "api2", "worker"), ("worker", "api", "api2")], ids="-".join)
def test_an_upgrade_from_the_first_version_fails_no_request(
    order: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    first = code_of(FIRST, tmp_path_factory.mktemp("first") / "code")
    if first is None:
        pytest.skip("the history of this repository is not at hand")
    with selling(first) as (deployed, balancer, buyers):
        deployed.run_migrate()
        for name in order:
            restart(deployed, balancer, name, by_hand=True)
            sold(buyers, 20)
        for name in order[1:]:
            restart(deployed, balancer, name)
