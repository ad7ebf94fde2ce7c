"""Arguments and options of the command line: what each is called, what is checked of it, and its help."""

import os
import time
import unicodedata
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.commands.progress import say
from app.domain.codes import REASON_LENGTH_MAX, check_reason, check_sku, check_warehouse
from app.domain.times import time_ms
from app.domain.words import BIGINT_MAX

if TYPE_CHECKING:
    from app.files.options import Options

T = TypeVar("T")

USAGE = 2


class Summary(StrEnum):
    """How a summary is printed."""

    TEXT = "text"
    JSON = "json"


class FileFormat(StrEnum):
    """Well-known exports."""

    SHOPIFY = "shopify"


class Codes(StrEnum):
    """How codes are taken that a spreadsheet seems to have damaged."""

    AS_IS = "as-is"


def _checked(check: Callable[[T], object]) -> Callable[[T | None], T | None]:
    """Return a callback that refuses, as wrong usage, what `check` raises `ValueError` for."""

    def callback(given: T | None) -> T | None:
        try:
            if given is not None:
                check(given)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        return given

    return callback


def _path(parameter: typer.CallbackParam, path: Path | None) -> Path | None:
    """Refuse, in one line, a path that could not be written to configuration files, URLs and logs."""
    if path is not None and (trouble := _trouble_of(path)):
        say(f"sellable: {parameter.opts[0]}: {trouble}: choose another")
        raise typer.Exit(USAGE)
    return path


def _trouble_of(path: Path) -> str:
    try:
        whole = os.fsencode(path.absolute())
    except FileNotFoundError:
        return f"{path} begins in the current directory, which is gone"
    try:
        text = whole.decode("utf-8")
    except UnicodeDecodeError:
        return f"the path {ascii(whole)[1:]} is not UTF-8 text"
    if any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in text):
        return f"the path {text!a} has a line break or another control character"
    return ""


def _bare(host: str) -> str:
    """Take the brackets off that an IPv6 address has in URLs."""
    if not host.strip():
        raise typer.BadParameter("must not be empty")
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


@_checked
def _positive(number: float) -> None:
    # Written so that nan is refused too.
    if not 0 < number < float("inf"):
        raise ValueError("must be a number above 0")


@_checked
def _reason(text: str) -> None:
    if not text.strip() or len(text) > REASON_LENGTH_MAX:
        raise ValueError(f"must have 1 to {REASON_LENGTH_MAX} characters")
    check_reason(text)


@_checked
def _key_name(name: str) -> None:
    from app.api.api_keys import check_name  # noqa: PLC0415 - only when a command needs it

    check_name(name)


@_checked
def _scopes(scopes: str) -> None:
    from app.api.api_keys import entry_of  # noqa: PLC0415 - only when a command needs it

    entry_of("x", "x", scopes)


@_checked
def _last_day(text: str) -> None:
    from app.api.api_keys import last_day  # noqa: PLC0415 - only when a command needs it

    try:
        last_day(text)
    except ValueError as error:
        raise ValueError(f"must be a day that is not over, such as 2027-12-31 ({error})") from None


@_checked
def _cause(cause: str) -> None:
    from app.domain.reconciliation import Cause  # noqa: PLC0415 - only when a command needs it

    if cause not in set(Cause):
        raise ValueError("must be one of " + ", ".join(Cause))


@_checked
def _moment(text: str) -> None:
    if time_ms(text) > time.time() * 1000:
        raise ValueError("must not be in the future")


@_checked
def _encoding(name: str) -> None:
    from app.files.options import check_encoding  # noqa: PLC0415 - only when a command needs it

    check_encoding(name)


def file_options(
    columns: Sequence[str],
    *,
    names: Sequence[str] | None,
    form: FileFormat | None,
    encoding: str | None,
    codes: Codes | None,
    accepts_last_line: bool,
) -> "Options":
    """What was said about a file that has these columns; a wrong name of one is wrong usage."""
    from app.files import options  # noqa: PLC0415 - only when a command needs it

    try:
        theirs = options.read_names(names or (), columns)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--map") from error
    return options.Options(
        encoding=options.check_encoding(encoding) if encoding else "",
        names=theirs,
        preset=options.preset_of(form) if form else None,
        codes_as_is=codes is Codes.AS_IS,
        accepts_last_line=accepts_last_line,
    )


_sku = _checked(check_sku)
_warehouse = _checked(check_warehouse)

File = Annotated[
    Path,
    typer.Argument(metavar="FILE.csv", exists=True, dir_okay=False, callback=_path, help="A CSV file."),
]
Names = Annotated[
    list[str] | None,
    typer.Option("--map", metavar='OURS="Theirs"', help="A column's name in the file; may be repeated."),
]
Form = Annotated[FileFormat | None, typer.Option("--format", help="A well-known export.")]
Encoding = Annotated[
    str | None,
    typer.Option(
        callback=_encoding,
        help="How the file's text is written, such as cp1252. Without it: by its mark, or UTF-8.",
    ),
]
TakeCodes = Annotated[
    Codes | None,
    typer.Option("--codes", help="Take codes also where a spreadsheet seems to have damaged them."),
]
AcceptLastLine = Annotated[
    bool, typer.Option("--accept-last-line", help="Take a last line that has no line end.")
]
AddUp = Annotated[bool, typer.Option("--sum", help="Add up the rows of one SKU and warehouse.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print what would change.")]
CountedThen = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        callback=_moment,
        help="Take the file as counted at this time: what moved since then stands.",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Set what is on hand also where it has moved since its opening.")
]
NewWarehouses = Annotated[
    bool, typer.Option("--new-warehouses", help="Make the warehouses that are not known.")
]
ReportFile = Annotated[
    Path | None,
    typer.Option("--report", callback=_path, help="Write every refused or failed order and every bad line."),
]
Partial = Annotated[
    bool, typer.Option("--partial", help="The snapshot is of some SKUs: say nothing about the others.")
]
DataDir = Annotated[
    Path,
    typer.Option(
        envvar="SELLABLE_DATA_DIR", callback=_path, help="Where the data and run.json of `sellable up` are."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Host = Annotated[str, typer.Option(callback=_bare, help="The address to listen on.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="The port to listen on; 0 takes a free one.")]
Workers = Annotated[int, typer.Option(min=1, max=256, help="How many API processes.")]
Pages = Annotated[
    bool, typer.Option("--pages", help="Product pages only: a Redis user that can only read is enough.")
]
Fd = Annotated[int | None, typer.Option(hidden=True, help="A listening socket that was handed down.")]
Yes = Annotated[bool, typer.Option("--yes", help="Without the question.")]
Demo = Annotated[bool, typer.Option(help="Fill a new data directory with a demo catalogue.")]
Concurrency = Annotated[int, typer.Option(min=1, max=1_000, help="How many documents are sent at once.")]
Speed = Annotated[
    float | None,
    typer.Option(callback=_positive, help="N times real time. Without it: as fast as possible."),
]
SummaryForm = Annotated[Summary, typer.Option(help="How to print the summary.")]
Warehouse = Annotated[
    str, typer.Option(callback=_warehouse, help="Where returns and adjustments of an unknown SKU go.")
]
ShortageId = Annotated[
    int, typer.Argument(metavar="SHORTAGE_ID", min=1, max=BIGINT_MAX, help="The case's number.")
]
Sku = Annotated[str, typer.Argument(metavar="SKU", callback=_sku, help="The SKU.")]
AsOf = Annotated[
    str | None,
    typer.Option(callback=_moment, help="A time such as 2025-12-01T08:00:00Z, inclusive. Without it: now."),
]
Moves = Annotated[int, typer.Option(min=1, max=1_000, help="How many moves to print, the newest first.")]
LockIds = Annotated[
    list[str], typer.Argument(metavar="LOCK_ID", help="The locks that give back what is short.")
]
Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="The source that sent the event, as `inbox list` prints it.")
]
EventId = Annotated[
    str, typer.Argument(metavar="EVENT_ID", help="The event's id, as `inbox list` prints it.")
]
KeyName = Annotated[str, typer.Argument(metavar="NAME", callback=_key_name, help="Who gets the key.")]
KeyScopes = Annotated[
    str, typer.Option("--scopes", callback=_scopes, help="read, checkout, warehouse, admin, joined by +.")
]
KeyExpires = Annotated[
    str | None,
    typer.Option("--expires", callback=_last_day, help="The last day on which it works: YYYY-MM-DD (UTC)."),
]
DropReason = Annotated[str, typer.Option("--reason", callback=_reason, help="Why it is never to be booked.")]
MismatchId = Annotated[
    int,
    typer.Argument(metavar="MISMATCH_ID", min=1, help="The case's number, as `mismatches list` prints it."),
]
WhyDecided = Annotated[str, typer.Option("--reason", callback=_reason, help="Why; it stays in the ledger.")]
Snapshot = Annotated[
    Path,
    typer.Argument(
        metavar="SNAPSHOT",
        exists=True,
        dir_okay=False,
        callback=_path,
        help="A .csv, .ndjson or .json file.",
    ),
]
MergedWarehouse = Annotated[
    str, typer.Argument(metavar="FROM", callback=_warehouse, help="The code that should never have been.")
]
IntoWarehouse = Annotated[
    str, typer.Option("--into", metavar="TO", callback=_warehouse, help="The warehouse that it is.")
]
CountedWarehouse = Annotated[
    str, typer.Option("--warehouse", callback=_warehouse, help="The warehouse that was counted.")
]
CountedAt = Annotated[
    str,
    typer.Option(
        "--as-of", callback=_moment, help="When it was counted, such as 2025-12-01T06:00:00Z; inclusive."
    ),
]
SnapshotRows = Annotated[
    int | None,
    typer.Option("--rows", min=0, help="How many counts the file must have; fewer means it was cut off."),
]
HtmlFile = Annotated[Path | None, typer.Option("--html", callback=_path, help="Write the report as a page.")]
CsvFile = Annotated[
    Path | None, typer.Option("--csv", callback=_path, help="Write every difference as a line.")
]
ReconciliationId = Annotated[
    str, typer.Argument(metavar="RECONCILIATION_ID", help="The reconciliation's id.")
]
OfWarehouse = Annotated[str | None, typer.Option("--warehouse", help="Only those of this warehouse.")]
Skus = Annotated[list[str] | None, typer.Option("--sku", help="Only this SKU; may be repeated.")]
OfCause = Annotated[str | None, typer.Option("--cause", callback=_cause, help="Only with this likely cause.")]
Parked = Annotated[str | None, typer.Argument(metavar="[SUBJECT]", help="A SKU, `lock L1` or `transfer T1`.")]
ParkedSku = Annotated[
    str,
    typer.Argument(
        metavar="SKU", help="The SKU whose moves are parked, or the position of an event that cannot be read."
    ),
]
Reason = Annotated[str, typer.Option(help="Why they are given up; it stays in the ledger.")]
HERE = Path(".sellable")
