"""`make audit`: known weaknesses of what a lock names; where no source can be reached, it says so and passes."""

import subprocess
import sys
from pathlib import Path

AWAY = ("ConnectionError", "ServiceError", "connection", "timed out", "resolve", "proxy", "certificate")
"""What pip-audit says when it could not ask."""
NOT_AUDITED = "could not be audited"
"""What it says of a package about which the source knows nothing: a mirror without advisories, for instance."""
SECONDS_MAX = 300


def main(lock: str) -> int:
    """Audit, and return the exit code: 1 if something is known."""
    tool = Path(sys.executable).with_name("pip-audit")
    asked = ["--requirement", lock, "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    try:
        done = subprocess.run(
            [str(tool), *asked], capture_output=True, text=True, check=False, timeout=SECONDS_MAX
        )
    except subprocess.TimeoutExpired:
        return _not_audited(lock, f"no answer after {SECONDS_MAX} s")
    said = (done.stdout + done.stderr).strip()
    if done.returncode and "Found " not in said and any(word in said for word in AWAY):
        return _not_audited(lock, said.splitlines()[-1])
    print(said)
    if skipped := said.count(NOT_AUDITED):
        print(f"{lock}: {skipped} packages were NOT audited, the source that was reached does not know them")
    return done.returncode


def _not_audited(lock: str, why: str) -> int:
    print(f"{lock} was NOT audited, no source of known weaknesses could be reached: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
