"""`python -m bench`: measure, compare, print, write. This file only wires."""

import argparse
import dataclasses
import datetime as dt
import tempfile
from pathlib import Path
from typing import Any

from bench import machine, plots, report
from bench.cases import growth, imports, locks, memory, reads, write_behind
from bench.options import FAMILIES, Options, quick
from bench.run import Run
from bench.targets import TARGETS

RESULTS = Path(__file__).with_name("results")
CASES = (reads, locks, write_behind, growth, memory, imports)


def main() -> None:
    """Run what the command line asks for."""
    asked = _parser().parse_args()
    options = _options(asked)
    with tempfile.TemporaryDirectory(prefix="sb-", dir=asked.dir, ignore_cleanup_errors=True) as place:
        run = Run(options, Path(place))
        about = _about(run, Path(place), is_quick=asked.quick)
        print(f"{about['processor']}, {about['cores']} cores; {about['placement']}", flush=True)
        for case in CASES:
            case.measure(run)
    verdicts = [run.results.judge(target) for target in TARGETS]
    report.print_tables(run.results, [verdict for verdict in verdicts if verdict.per_round or not asked.only])
    report.write_json(asked.json, report.as_json(run.results, verdicts, about))
    written = plots.write_plots(asked.plots, run.results)
    print(f"written: {asked.json}" + "".join(f", {path}" for path in written))
    if asked.quick:
        print("This was --quick: it shows that everything works, not how fast it is.")


def _parser() -> argparse.ArgumentParser:
    families = "; ".join(f"{letter}: {text}" for letter, text in FAMILIES.items())
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a second or two of everything, one round")
    parser.add_argument("--only", type=_letters, help=f"families to measure, such as a,c,g ({families})")
    parser.add_argument("--rounds", type=int, help="how often each contender has its turn")
    parser.add_argument("--seconds", type=float, help="how long a turn is")
    parser.add_argument(
        "--placement", choices=("shared", "apart", "free"), help="who shares a core with the load"
    )
    parser.add_argument("--json", type=Path, default=RESULTS / "bench.json", metavar="FILE")
    parser.add_argument("--plots", type=Path, default=RESULTS, metavar="DIR")
    parser.add_argument(
        "--dir", type=Path, help="where the databases write meanwhile: a disk, as in production"
    )
    return parser


def _letters(text: str) -> frozenset[str]:
    letters = frozenset(part.strip() for part in text.split(","))
    if not letters <= set(FAMILIES):
        raise argparse.ArgumentTypeError(f"must be among {','.join(FAMILIES)}")
    return letters


def _options(asked: argparse.Namespace) -> Options:
    options = quick(Options()) if asked.quick else Options()
    named = {name: getattr(asked, name) for name in ("only", "rounds", "seconds", "placement")}
    options = dataclasses.replace(
        options, **{name: value for name, value in named.items() if value is not None}
    )
    return dataclasses.replace(options, sweep_seconds=min(options.sweep_seconds, options.seconds))


def _about(run: Run, place: Path, *, is_quick: bool) -> dict[str, Any]:
    options = {**dataclasses.asdict(run.options), "only": sorted(run.options.only)}
    return {
        **machine.describe(place),
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "placement": run.placement.explain(),
        "load_from": run.load.read_tool,
        "quick": is_quick,
        "options": options,
    }


if __name__ == "__main__":
    main()
