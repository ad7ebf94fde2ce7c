"""The entry point of `sellable` and `python -m app`; run by its path it is the same, whatever else is called `app`."""

import importlib.util
import os
import signal
import sys
from pathlib import Path


def main() -> None:
    """Run the command line. Ctrl-C ends it without a word until a command has begun, and after it has ended."""
    _open_standard_streams()
    # Not where it is ignored, as in the background of a script.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if not __package__:
        _load_this_package()
    from app.cli import main as run  # noqa: PLC0415 - only now does Ctrl-C print no traceback

    run()


def _open_standard_streams() -> None:
    """Take the places of closed standard streams, or the next file to be opened would be written to as one."""
    for descriptor, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, mode, closefd=False))


def _load_this_package() -> None:
    """Make this folder the package `app`: the path that Python searches may lead to another first."""
    folder = Path(__file__).resolve().parent
    spec = importlib.util.spec_from_file_location(
        "app", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        sys.exit(f"sellable: {folder} cannot be loaded")
    package = importlib.util.module_from_spec(spec)
    sys.modules["app"] = package
    spec.loader.exec_module(package)


if __name__ == "__main__":
    main()
