"""The long proof: `python -m tests.properties.proof --steps 1000000 [--seed S]`.

Random commands go to the model and to the real functions until they differ, or the steps are done.
"""

import argparse
import secrets
import sys
import time

from tests.properties.driver import LIFE_STEPS, live, live_wide
from tests.properties.rig import Shard, Wire, library_under_test, running

REPORT_SECONDS = 10


def main() -> int:
    parser = argparse.ArgumentParser(description="Drive the model and the functions with the same commands.")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.steps:,} steps", flush=True)
    began = told = time.monotonic()
    with running() as server, Wire(server) as wire:
        shard = Shard(wire, library_under_test())
        lives = -(-options.steps // LIFE_STEPS)
        for number in range(lives):
            seed = f"{options.seed}/{number}"
            finding = live(shard, seed) or live_wide(shard, seed)
            if finding:
                print(f"DIFFERENCE: {finding}")
                return 1
            now = time.monotonic()
            if now - told >= REPORT_SECONDS:
                told = now
                print(f"{(number + 1) * LIFE_STEPS:,} steps, {now - began:.0f} s", flush=True)
    seconds = time.monotonic() - began
    steps = lives * LIFE_STEPS
    print(
        f"no difference: seed {options.seed}, {steps:,} steps, {seconds:.1f} s, {steps / seconds:,.0f} a second"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
