"""`python -m tests.histories --data-dir DIR [--commands N] [--clients N] [--seed N]`, on a `sellable up --no-demo`."""

import argparse
import asyncio
import random
import sys
from pathlib import Path

from tests.histories.run import record


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--commands", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    given = parser.parse_args()
    recorded = asyncio.run(
        record(given.data_dir, commands=given.commands, clients=given.clients, seed=given.seed)
    )
    verdict, found, seconds = recorded.verdict(), recorded.differences, recorded.seconds
    print(
        f"seed {given.seed}: {given.commands} commands by {given.clients} clients in {seconds:.1f} s;"
        f" {verdict.answered} answered, {verdict.unknown} unknown, {verdict.refusals} refused, {verdict.events} events"
    )
    for problem in verdict.problems[:20] + found[:20]:
        print(problem)
    print(f"{len(verdict.problems)} contradictions, {len(found)} differences")
    return 1 if verdict.problems or found else 0


if __name__ == "__main__":
    sys.exit(main())
