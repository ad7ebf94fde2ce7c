"""`make fuzz`: schemathesis with all of its checks against a real `sellable up`, without keys and with them.

    python -m tests.fuzz [--seconds 300] [--seed N]

It asks every operation of the OpenAPI page in turn, with what the page allows and what it does not, until its time
is over. A failure is told once, with the request that showed it. What the page allows and the service refuses with
422 is a failure, too, unless it is for one of the reasons in `UNSAID`: those are counted.
"""

import argparse
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup

from app.api.shapes import BEYOND_ASCII
from tests.acceptance.service import Service
from tests.servers import scratch

SECRET = "fuzzing-0123456789abcdef"
KEYS = f"boss:{SECRET}:admin"
EXAMPLES = 5
"""Of an operation before it is the next one's turn."""
WRONG_KEY = "Unexpected response to invalid authentication"
ACCEPTED = "Schema-violating request accepted"
COUNTED = "Schema-valid request rejected"
UNSAID = {
    "unknown_warehouse|unknown_sku|as_of_too_old|snapshot_too_old": "codes and times that name nothing here, or yet",
    "snapshot_incomplete": "it says how many lines it has, and has others",
    "invalid_request .*: (no SKU is called|the lock holds this SKU in several)": "as above, in steps of a lock",
    "invalid_request .*: must not be (in the future|more than .* days ago)": "no schema knows what time it is",
    "invalid_request after: is not what an answer gave as `next`": "a cursor is opaque",
    "invalid_request to: must be another warehouse than": "no schema compares two fields",
    "invalid_request lines: must name each SKU once": "no schema compares fields of a list's items",
    "invalid_request map: .* is given twice": "as above",
    "invalid_request Idempotency-Key: this step needs": "of an unlock: its body decides whether it needs the header",
    "invalid_request (warehouse|as_of|rows): (Field required|give it in the JSON body)": "of a snapshot: its media "
    "type decides where these are given",
}
"""What the page cannot say: code, field and message of refusals, as regular expressions, and why it cannot."""
BY_CHANCE = frozenset({"use_after_free", "ensure_resource_availability"})
"""They follow what one call made into another call; here each call stands alone."""


@dataclass
class Found:
    """What came of it: calls by status, and failures by operation and check, each with its text."""

    statuses: Counter[int] = field(default_factory=Counter)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    operations: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        lines = [f"{name}: {check}\n{text}" for (name, check), text in sorted(self.failures.items())]
        lines += [f"  refused {count} x: {reason}" for reason, count in self.refused.most_common()]
        counts = ", ".join(f"{count} x {status}" for status, count in sorted(self.statuses.items()))
        lines.append(
            f"{len(self.operations)} operations, {self.statuses.total():,} calls ({counts}): "
            f"{len(self.failures)} failures"
        )
        return "\n".join(lines)


@contextmanager
def running(*, has_keys: bool) -> Iterator[str]:
    """A service with a little in it; yields its URL."""
    with scratch() as place:
        env = {"SELLABLE_API_KEYS": KEYS} if has_keys else {}
        service = Service(place / "data", log=place / "up.log", env=env)
        try:
            url = service.ready().where()["api"]
            file = place / "stock.csv"
            file.write_text("sku,warehouse,quantity\nA,north,1000000\nA,south,5\nA/12,north,7\nB,north,0\n")
            assert service.sellable("import-stock", str(file)).returncode == 0
            yield url
        finally:
            service.stop()


def fuzz(url: str, *, has_keys: bool, seconds: float, chance: int) -> Found:
    """Ask until the time is over."""
    headers = {"Authorization": f"Bearer {SECRET}"} if has_keys else {}
    page = httpx.get(f"{url}/openapi.json", headers=headers).json()
    allowed, refused = _operations(_of_fewer_characters(page), url), _operations(_without_classes(page), url)
    found, until, numbers = Found(), time.monotonic() + seconds, random.Random(chance)
    turns = [(one, GenerationMode.POSITIVE) for one in allowed]
    # The pages beside /v1/ take nothing that could be wrong.
    turns += [(one, GenerationMode.NEGATIVE) for one in refused if one.path.startswith("/v1/")]
    cases: dict[tuple[str, GenerationMode], Any] = {}
    for operation, mode in cycle(turns):
        if time.monotonic() > until:
            return found
        found.operations.add(operation.label)
        if (operation.label, mode) not in cases:  # it takes a while to make them
            cases[operation.label, mode] = operation.as_strategy(generation_mode=mode)
        _ask(operation, cases[operation.label, mode], headers, found, numbers.randrange(2**32))
    return found


def _operations(page: Any, url: str) -> list[Any]:
    schema = schemathesis.openapi.from_dict(page)
    schema.config.update(base_url=url)
    return [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]


def _without_classes(page: Any) -> Any:
    """Return the page without the classes of codes: the service takes more than they allow, and tests try the rest."""

    def kept(shape: dict[str, Any]) -> dict[str, Any]:
        return {name: one for name, one in shape.items() if name != "pattern" or BEYOND_ASCII not in one}

    return json.loads(json.dumps(page), object_hook=kept)


def _of_fewer_characters(page: Any) -> Any:
    """Return the page with fewer characters in codes: all texts that it allows the whole one allows too.

    The generator makes a list of all that a class holds. And what looks like an escape in a path it decodes before it
    sends it, so that another text comes.
    """
    text = json.dumps(page, ensure_ascii=False).replace(BEYOND_ASCII, "\u00df-\u00e4\u4e00-\u4e07")
    fewer = json.loads(text)
    for operations in fewer["paths"].values():
        for operation in operations.values():
            for one in operation.get("parameters", ()):
                if one["in"] == "path":
                    one["schema"]["pattern"] = one["schema"]["pattern"].replace("#-+", "#$&-+")
    return fewer


def _ask(operation: Any, cases: Any, headers: dict[str, str], found: Found, number: int) -> None:
    excluded = [check for check in schemathesis.checks.CHECKS.get_all() if check.__name__ in BY_CHANCE]

    @seed(number)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def ask(case: Any) -> None:
        response = case.call(headers=headers)
        found.statuses[response.status_code] += 1
        try:
            case.validate_response(response, headers=headers, excluded_checks=excluded)
        except FailureGroup as group:
            for failure in group.exceptions:
                if failure.title == COUNTED and _is_unsaid(response):
                    found.refused[_reason(response)] += 1
                    continue
                if failure.title == WRONG_KEY and "`429 " in getattr(failure, "message", ""):
                    continue  # so many wrong keys of one address are answered so, and served nothing
                if failure.title == ACCEPTED and "was array, became" in str(failure):
                    continue  # in a query string one value is a list of one
                body = getattr(response, "text", "")[:300]
                asked = case.as_curl_command()[:600]
                shown = f"  {failure.title}: {failure}\n  {asked}\n  -> {response.status_code} {body}"
                found.failures.setdefault((operation.label, failure.title), shown)

    ask()


def _reason(response: Any) -> str:
    """Why it was refused: the first reason of `UNSAID` that fits, or what it says."""
    told = response.json()
    first = (told.get("errors") or [{"field": "", "message": ""}])[0]
    said = f"{told['code']} {first['field']}: {first['message']}"
    return next((unsaid for unsaid in UNSAID if re.match(unsaid, said)), said)


def _is_unsaid(response: Any) -> bool:
    return response.status_code == 422 and _reason(response) in UNSAID


def main() -> int:
    """Fuzz, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    asked = parser.parse_args()
    failed = False
    for has_keys in (False, True):
        with running(has_keys=has_keys) as url:
            found = fuzz(url, has_keys=has_keys, seconds=asked.seconds / 2, chance=asked.seed)
        print(f"{'with' if has_keys else 'without'} keys, seed {asked.seed}: {found}", flush=True)
        failed = failed or bool(found.failures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
