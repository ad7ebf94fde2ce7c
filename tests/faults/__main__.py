"""`python -m tests.faults [--short] [--only WORDS] [--seed N]`: break every part, and hold the books together."""

import argparse
import random
import signal
import sys
import time
from pathlib import Path

from tests.faults import report
from tests.faults.runner import run
from tests.faults.scenarios import TABLE


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="about 5 minutes instead of 30")
    parser.add_argument("--only", default="", help="rows whose name has one of these words, comma-separated")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument(
        "--write", type=Path, help="put the table into this file, and the figures beside it (.json)"
    )
    parser.add_argument("--keep", type=Path, help="keep calls and logs of rows that fail in this directory")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # so that every house is left as it should be
    wanted = [word for word in given.only.split(",") if word]
    chosen = [row for row in TABLE if row.in_short or not given.short]
    if wanted:
        chosen = [row for row in TABLE if any(word in row.name for word in wanted)]
    rows, began = [], time.monotonic()
    for number, scenario in enumerate(chosen, start=1):
        print(f"[{number}/{len(chosen)}] {scenario.name} …", file=sys.stderr, flush=True)
        row = run(scenario, seed=given.seed, short=given.short, keep=given.keep).row
        rows.append(row)
        print(report.line(row), file=sys.stderr, flush=True)
        told = report.Report(rows, seed=given.seed, short=given.short, seconds=time.monotonic() - began)
        if given.write:
            told.write(given.write)  # after each row: a run that is broken off has told something
    print(told.table() if rows else "no such row")
    return 1 if any(row.why for row in rows) or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
