"""`python -m loadtests`: a service of its own, a sale's traffic on it, and a verdict.

Exit code 1 when something was oversold, when any answer was a 5xx or contradicted the contract, or when the
stores differ afterwards.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from loadtests import catalogue

HERE = Path(__file__).parent
RESULTS = HERE / "results"
START_SECONDS_MAX = 180.0
STOP_SECONDS_MAX = 60.0
VERIFY_SECONDS_MAX = 300.0
FINISH_SECONDS = 10
FLASH_UNITS_PER_USER_SECOND = 0.2
"""So few that the sale sells out at its peak, however long and large it is."""
SELLABLE = (sys.executable, "-m", "app")


def main() -> int:
    """Run it all; return the exit code."""
    asked = _parser().parse_args()
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sl-", ignore_cleanup_errors=True) as place:
        data = Path(place) / "data"
        service = _start(data, api_processes=asked.api_processes)
        try:
            return _judge(data, asked.seconds, asked.users)
        finally:
            _stop(service)
            shutil.copytree(data / "logs", RESULTS / "logs", dirs_exist_ok=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loadtests", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--users", type=int, default=200, help="at the peak")
    parser.add_argument("--api-processes", type=int, default=1)
    return parser


def _judge(data: Path, seconds: int, users: int) -> int:
    stock = data / "catalogue.csv"
    catalogue.write(stock, flash_units=round(seconds * users * FLASH_UNITS_PER_USER_SECOND))
    _sellable("import-stock", str(stock), "--data-dir", str(data))
    url = json.loads((data / "run.json").read_text(encoding="utf-8"))["api"]
    verdict = _run_locust(url, stock, seconds=seconds, users=users)
    differs = subprocess.run(
        [*SELLABLE, "verify", "--data-dir", str(data)], check=False, timeout=VERIFY_SECONDS_MAX
    ).returncode
    return _conclude(verdict, differs)


def _start(data: Path, *, api_processes: int) -> "subprocess.Popen[bytes]":
    """`sellable up` on an empty data directory; returns once it is ready."""
    options = ["--no-demo", "--port", "0", "--data-dir", str(data), "--workers", str(api_processes)]
    service = subprocess.Popen([*SELLABLE, "up", *options])
    deadline = time.monotonic() + START_SECONDS_MAX
    while not (data / "run.json").exists():
        if service.poll() is not None or time.monotonic() > deadline:
            _stop(service)
            raise SystemExit("the service did not start")
        time.sleep(0.1)
    return service


def _stop(service: "subprocess.Popen[bytes]") -> None:
    service.send_signal(signal.SIGTERM)
    try:
        service.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        service.kill()
        service.wait()


def _sellable(*arguments: str) -> None:
    subprocess.run([*SELLABLE, *arguments], check=True)


def _run_locust(url: str, stock: Path, *, seconds: int, users: int) -> dict[str, Any]:
    """Return the judge's verdict; locust's own code counts failures that are none to us."""
    verdict = RESULTS / "verdict.json"
    verdict.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "SELLABLE_API_URL": url,
        catalogue.FILE_VARIABLE: str(stock),
        "LOADTEST_SECONDS": str(seconds),
        "LOADTEST_USERS": str(users),
        "LOADTEST_VERDICT": str(verdict),
    }
    reports = ["--html", str(RESULTS / "report.html"), "--csv", str(RESULTS / "loadtest")]
    options = ["--headless", "--only-summary", "--stop-timeout", str(FINISH_SECONDS), *reports]
    command = [sys.executable, "-m", "locust", "-f", str(HERE / "locustfile.py"), *options]
    subprocess.run(
        command, env=environment, cwd=HERE.parent, check=False, timeout=seconds + START_SECONDS_MAX
    )
    if not verdict.exists():
        raise SystemExit("locust ended without a verdict")
    told: dict[str, Any] = json.loads(verdict.read_text(encoding="utf-8"))
    return told


def _conclude(verdict: dict[str, Any], verify_code: int) -> int:
    flash = verdict["flash"]
    print(f"flash sale: {flash['promised']} of {flash['units']} units promised", flush=True)
    for kind in ("oversold", "server_errors", "wrong_answers"):
        count = verdict["counts"].get(kind, 0)
        print(f"{kind}: {count}" + "".join(f"\n  {example}" for example in verdict[kind]))
    print(f"verify: {'no difference' if verify_code == 0 else f'ended with code {verify_code}'}")
    print(f"reports: {RESULTS}")
    return 0 if verdict["content"] and verify_code == 0 else 1


if __name__ == "__main__":
    raise SystemExit(main())
