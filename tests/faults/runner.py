"""Runs one row: a house, a load, its faults, and the judge."""

import asyncio
import os
import random
import signal
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.books import Books, read_books
from tests.faults.faults import BrokenRebuild, Fault, KillAt
from tests.faults.house import CannotBuildError, House
from tests.faults.judge import Judgement, judge
from tests.faults.load import Load, Recorder, Sent
from tests.faults.outside import Outside
from tests.faults.scenarios import Scenario
from tests.servers import scratch, until

WARM_UP_COMMANDS = 60


@dataclass(slots=True)
class Strike:
    """When one fault was there, when its cause was gone, and when the service said that it is ready again."""

    fault: str
    struck_at: float
    healed_at: float = 0.0
    ready_at: float = 0.0


@dataclass(slots=True)
class Row:
    """What one scenario came to."""

    name: str
    seed: int
    strikes: list[Strike] = field(default_factory=list)
    judgement: Judgement = field(default_factory=Judgement)
    unready_seconds: float = 0.0
    lag_seconds: float = 0.0
    seconds: float = 0.0
    pages: int = 0
    pages_stale: int = 0
    pages_failed: int = 0
    refused: int = 0
    why: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    skipped: str = ""


@dataclass(slots=True)
class Run:
    """A row, and what it was judged by."""

    row: Row
    recorder: Recorder
    books: Books | None = None


def run(scenario: Scenario, *, seed: int, short: bool, keep: Path | None = None) -> Run:
    """Run it in a new house; nothing is left behind but `keep`/<row>, when it failed."""
    done, began = Run(Row(scenario.name, seed), Recorder()), time.monotonic()
    row = done.row
    with scratch("faults-") as place:
        try:
            _run(scenario, place, done, short=short, keep=keep)
        except CannotBuildError as reason:
            row.skipped = str(reason)
        except Exception as error:  # noqa: BLE001 - the other rows run all the same
            row.why.append(f"the run itself failed: {type(error).__name__}: {error}")
            row.notes.append(traceback.format_exc())
    row.seconds = time.monotonic() - began
    return done


def _run(scenario: Scenario, place: Path, done: Run, *, short: bool, keep: Path | None) -> None:
    row, recorder, chance = done.row, done.recorder, random.Random(done.row.seed)
    with Outside() as outside, House(scenario.plan, place, outside) as house:
        load = Load(
            house.api,
            recorder,
            seed=row.seed,
            commands_per_second=scenario.commands_per_second,
            levels=scenario.levels,
            clients=scenario.clients,
        )
        outside.run(load.start())
        try:
            until(lambda: recorder.acknowledged() > WARM_UP_COMMANDS)
            _strike_all(scenario, house, row, chance, short=short)
            time.sleep(scenario.calm_seconds)
        except AssertionError as late:
            row.why.append(f"never ready again: {late}")
        finally:
            outside.run(load.stop())
        _measure(scenario, recorder, row)
        _judge(scenario, house, done)
        if keep is not None and row.why:
            _keep(house, recorder, row, keep)


def _strike_all(scenario: Scenario, house: House, row: Row, chance: random.Random, *, short: bool) -> None:
    faults = scenario.faults()
    for n in range(scenario.times[short]):
        time.sleep(chance.uniform(*scenario.gap_seconds))
        fault = faults[n % len(faults)]
        strike = Strike(fault.name or type(fault).__name__, time.monotonic())
        row.strikes.append(strike)
        fault.strike(house, chance)
        time.sleep(scenario.lasts_seconds[short])
        fault.heal(house)
        strike.healed_at = time.monotonic()
        strike.ready_at = house.until_ready(scenario.recover_seconds)
    row.notes += _missed(faults)
    row.why += [f"{one.name or type(one).__name__} was not felt" for one in faults if not one.was_felt(house)]


def _missed(faults: list[Fault]) -> list[str]:
    missed = [
        point for fault in faults if isinstance(fault, KillAt | BrokenRebuild) for point in fault.missed
    ]
    return [f"not reached in time, struck at random instead: {', '.join(missed)}"] if missed else []


def _measure(scenario: Scenario, recorder: Recorder, row: Row) -> None:
    """How long locks were refused after each strike, and what pages said."""
    locks = [sent for sent in recorder.sent if sent.what == "lock"]
    for n, strike in enumerate(row.strikes):
        until_at = row.strikes[n + 1].struck_at if n + 1 < len(row.strikes) else float("inf")
        since = strike.healed_at if scenario.from_heal else strike.struck_at
        if scenario.from_refusal:
            since = _first_refusal(locks, since, until_at)
        row.unready_seconds = max(row.unready_seconds, _unready(locks, since, until_at))
    pages = [sent for sent in recorder.sent if sent.what == "page"]
    row.pages, row.pages_stale = len(pages), sum(page.stale for page in pages)
    row.pages_failed = sum(page.status != 200 for page in pages)
    row.refused = sum(sent.status == 503 for sent in recorder.sent)
    wrong = [sent for sent in recorder.sent if sent.status >= 500 and sent.status != 503]
    if wrong:
        row.why.append(f"{len(wrong)} answers with {wrong[0].status}")


def _first_refusal(locks: list[Sent], since: float, until_at: float) -> float:
    """When a lock was refused or not answered for the first time since then."""
    return min(
        (sent.sent_at for sent in locks if since <= sent.sent_at < until_at and sent.status in {0, 503}),
        default=since,
    )


def _unready(locks: list[Sent], since: float, until_at: float) -> float:
    """Seconds from `since` to the last lock sent from then on that got no answer, or 503."""
    failed = [
        sent.answered_at for sent in locks if since <= sent.sent_at < until_at and sent.status in {0, 503}
    ]
    return max(failed, default=since) - since


def _judge(scenario: Scenario, house: House, done: Run) -> None:
    row = done.row
    try:
        books = done.books = house.outside.run(_books(house, scenario.settle_seconds))
    except TimeoutError:
        row.why.append(f"the ledger did not catch up in {scenario.settle_seconds:.0f} s")
        for pid in house.pids("worker"):
            os.kill(pid, signal.SIGUSR2)  # its log shall say what it waits for
        time.sleep(1.0)
        return
    row.lag_seconds = books.lag_seconds
    found = row.judgement = judge(done.recorder, books, house.opening, may_lose=bool(scenario.may_lose))
    different = [one for one in found.differences if not scenario.excused or scenario.excused not in one]
    lost = {level: n for level, n in found.lost.items() if level not in scenario.may_lose}
    for wrong, text in (
        (sum(lost.values()), f"lost what was acknowledged: {lost}"),
        (found.doubled, f"{found.doubled} took effect twice"),
        (found.oversold, f"{found.oversold} oversold"),
        (
            len(found.contradictions),
            f"{len(found.contradictions)} contradictions: {found.contradictions[:2]}",
        ),
        (len(different), f"verify: {len(different)} differences: {different[:2]}"),
        (
            len(found.released_early),
            f"{len(found.released_early)} locks expired before their time: {found.released_early[:3]}",
        ),
        (
            len(found.outlived),
            f"{len(found.outlived)} locks are held beyond their expiry: {found.outlived[:3]}",
        ),
        (scenario.must_lose and not found.lost_total, "lost nothing, so this run would not see a loss"),
        (not found.acknowledged, "nothing was acknowledged"),
    ):
        if wrong:
            row.why.append(text)
    most = scenario.ready_seconds_max
    if most is not None and row.unready_seconds > most:
        row.why.append(f"not ready for {row.unready_seconds:.1f} s, at most {most:.0f} s")


async def _books(house: House, settle_seconds: float) -> Books:
    async with house.stores() as stores:
        url = house.postgres_server.url if house.postgres_server else house.service.where()["database"]
        return await asyncio.wait_for(
            read_books(stores, url, settle_seconds=settle_seconds), settle_seconds + 120
        )


def _keep(house: House, recorder: Recorder, row: Row, keep: Path) -> None:
    """What somebody needs who looks for the reason."""
    place = keep / "".join(letter if letter.isalnum() else "-" for letter in row.name)[:60]
    place.mkdir(parents=True, exist_ok=True)
    (place / "calls.jsonl").write_text(recorder.dump())
    (place / "why.txt").write_text(
        "\n".join([f"seed {row.seed}", *row.why, *row.notes, *row.judgement.examples])
    )
    for log in [*(house.data / "logs").glob("*.log"), house.place / "up.log"]:
        (place / log.name).write_bytes(log.read_bytes())
