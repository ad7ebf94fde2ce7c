"""`python -m tests.mutants [part of a name …]`: every mutant must be noticed by some check."""

import sys
import time

from tests.mutants.room import killer_of
from tests.mutants.table import MUTANTS
from tests.properties.rig import Wire, running


def main() -> int:
    wanted = [m for m in MUTANTS if not sys.argv[1:] or any(part in m.name for part in sys.argv[1:])]
    survivors = []
    began = time.monotonic()
    with running() as server, Wire(server) as wire:
        for mutant in wanted:
            killer = killer_of(mutant, wire)
            print(f"{mutant.file:22} {mutant.name:50} {killer or 'SURVIVED'}", flush=True)
            if killer is None:
                survivors.append(mutant.name)
    killed, seconds = len(wanted) - len(survivors), time.monotonic() - began
    print(f"{killed} of {len(wanted)} mutants were noticed, in {seconds:.0f} s")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
