"""The command line: wires the subcommands, and decides their exit codes. Nothing heavy is imported to start.

0 done; 1 refused, or a comparison differs; 2 usage; 3 done in part; 4 could not compare.
"""

import asyncio
import errno
import inspect
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import typer

from app.commands.options import (
    HERE,
    AcceptLastLine,
    AddUp,
    AsJson,
    AsOf,
    Concurrency,
    CountedAt,
    CountedThen,
    CountedWarehouse,
    CsvFile,
    DataDir,
    Demo,
    DropReason,
    DryRun,
    Encoding,
    EventId,
    Fd,
    File,
    Form,
    Host,
    HtmlFile,
    IntoWarehouse,
    KeyExpires,
    KeyName,
    KeyScopes,
    LockIds,
    MergedWarehouse,
    MismatchId,
    Moves,
    Names,
    NewWarehouses,
    OfCause,
    OfWarehouse,
    Overwrite,
    Pages,
    Parked,
    ParkedSku,
    Partial,
    Port,
    Reason,
    ReconciliationId,
    ReportFile,
    ShortageId,
    Sku,
    Skus,
    Snapshot,
    SnapshotRows,
    Source,
    Speed,
    Summary,
    SummaryForm,
    TakeCodes,
    Warehouse,
    WhyDecided,
    Workers,
    Yes,
    file_options,
)
from app.commands.progress import give_up, say
from app.environment import forget_defaults, has_settings
from app.errors import SellableError

REFUSED = 1
NOT_COMPARED = 4
INTERRUPTED = 130

cli = typer.Typer(
    name="sellable",
    help="Knows, for every product and warehouse, how many units can still be sold.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@cli.command()
def up(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    data_dir: DataDir = HERE,
    workers: Workers = 1,
    demo: Demo = True,  # noqa: FBT002 - a switch of the command line
) -> None:
    """Start everything in one go: hot store, ledger, workers and API."""
    _run("up", host=host, port=port, data_dir=data_dir, workers=workers, demo=demo)


@cli.command("reset-data")
def reset_data(data_dir: DataDir = HERE, yes: Yes = False) -> None:  # noqa: FBT002 - a switch of the command line
    """Delete what `up` has kept, after a question: every count, lock and event."""
    _run("reset_data", data_dir=data_dir, yes=yes)


@cli.command()
def serve(
    host: Host = "127.0.0.1",
    port: Port = 8080,
    pages: Pages = False,  # noqa: FBT002 - a switch of the command line
    fd: Fd = None,
) -> None:
    """Serve the HTTP API in one process; start as many as you like."""
    _end_quietly()
    _run("serve", host=host, port=port, fd=fd, pages=pages, needs="open_api")


@cli.command()
def worker() -> None:
    """Run the background duties: the ledger's writer, expiry, recovery."""
    _end_quietly()
    _run("worker", needs="open_worker")


@cli.command()
def migrate() -> None:
    """Bring the ledger's tables and the hot store's functions up to date."""
    _run("migrate", needs="open_stores")


@cli.command()
def settings(as_json: AsJson = False) -> None:  # noqa: FBT002 - a switch of the command line
    """Print every setting: name, default, unit, and the promises it touches (docs/promises.md)."""
    _run("settings", as_json=as_json)


@cli.command("import-stock")
def import_stock(
    file: File,
    *,
    dry_run: DryRun = False,
    as_of: CountedThen = None,
    overwrite: Overwrite = False,
    new_warehouses: NewWarehouses = False,
    add_up: AddUp = False,
    names: Names = None,
    form: Form = None,
    encoding: Encoding = None,
    codes: TakeCodes = None,
    accept_last_line: AcceptLastLine = False,
    data_dir: DataDir = HERE,
) -> None:
    """Set what is on hand from FILE.csv: columns sku,warehouse,quantity[,buffer]. A rerun changes nothing."""
    from app.commands.import_stock import How  # noqa: PLC0415 - only when a command needs it
    from app.commands.stock_rows import COLUMNS  # noqa: PLC0415
    from app.domain.times import time_ms  # noqa: PLC0415

    if as_of is not None and overwrite:
        raise typer.BadParameter("--as-of and --overwrite exclude each other")
    options = file_options(
        COLUMNS, names=names, form=form, encoding=encoding, codes=codes, accepts_last_line=accept_last_line
    )
    how = How(
        at_ms=None if as_of is None else time_ms(as_of),
        overwrite=overwrite,
        dry_run=dry_run,
        new_warehouses=new_warehouses,
        adds_up=add_up,
    )
    _run("import_stock", file=file, data_dir=data_dir, options=options, how=how, needs="open_operations")


@cli.command()
def replay(
    file: File,
    *,
    concurrency: Concurrency = 1,
    speed: Speed = None,
    summary: SummaryForm = Summary.TEXT,
    report: ReportFile = None,
    warehouse: Warehouse = "main",
    names: Names = None,
    form: Form = None,
    encoding: Encoding = None,
    codes: TakeCodes = None,
    accept_last_line: AcceptLastLine = False,
    data_dir: DataDir = HERE,
) -> None:
    """Send FILE.csv through the API: order_id,sku,quantity,occurred_at[,warehouse][,kind][,reason]."""
    from app.commands.replay_plan import COLUMNS  # noqa: PLC0415 - only when a command needs it

    options = file_options(
        COLUMNS, names=names, form=form, encoding=encoding, codes=codes, accepts_last_line=accept_last_line
    )
    _run(
        "replay",
        file=file,
        data_dir=data_dir,
        concurrency=concurrency,
        speed=speed,
        summary=summary.value,
        warehouse=warehouse,
        options=options,
        report=report,
    )


@cli.command()
def verify(as_json: AsJson = False, data_dir: DataDir = HERE) -> None:  # noqa: FBT002 - a switch
    """Compare the hot store with the ledger, for every SKU, state and lock. Safe on a live system."""
    _run("verify", as_json=as_json, data_dir=data_dir, failed=NOT_COMPARED, needs="open_stores")


@cli.command()
def explain(
    sku: Sku,
    as_of: AsOf = None,
    moves: Moves = 100,
    as_json: AsJson = False,  # noqa: FBT002 - a switch
    data_dir: DataDir = HERE,
) -> None:
    """Print where every unit of SKU is, or was at a time, and the moves that brought it there."""
    from app.domain.times import time_ms  # noqa: PLC0415 - only when a command needs it

    at = None if as_of is None else time_ms(as_of)
    _run("explain", sku=sku, as_of=at, moves=moves, as_json=as_json, data_dir=data_dir, needs="open_stores")


@cli.command()
def rebuild(data_dir: DataDir = HERE) -> None:
    """Rebuild the hot store from the ledger."""
    _run("rebuild", data_dir=data_dir, needs="open_stores")


lost = typer.Typer(help="List what was lost, and counts that were corrected.", no_args_is_help=True)
cli.add_typer(lost, name="lost")


@lost.command("list")
def list_lost(as_json: AsJson = False, data_dir: DataDir = HERE) -> None:  # noqa: FBT002 - a switch
    """Print lost events with their orders, SKUs and quantities, and counts that were set right."""
    _run("lost", as_json=as_json, data_dir=data_dir, needs="open_stores")


shortages = typer.Typer(help="List and resolve shortages.", no_args_is_help=True)
cli.add_typer(shortages, name="shortages")


@shortages.command("list")
def list_shortages(as_json: AsJson = False, data_dir: DataDir = HERE) -> None:  # noqa: FBT002 - a switch
    """Print the open cases, each with the locks to break."""
    _run("shortages", action="list", as_json=as_json, data_dir=data_dir, needs="open_operations")


@shortages.command("resolve")
def resolve_shortage(shortage_id: ShortageId, lock_ids: LockIds, data_dir: DataDir = HERE) -> None:
    """Take the case's SKU out of these locks."""
    _run(
        "shortages",
        action="resolve",
        shortage_id=shortage_id,
        lock_ids=lock_ids,
        data_dir=data_dir,
        needs="open_operations",
    )


mismatches = typer.Typer(
    help="List and decide what reporters of one document disagree on.", no_args_is_help=True
)
cli.add_typer(mismatches, name="mismatches")


@mismatches.command("list")
def list_mismatches(as_json: AsJson = False, data_dir: DataDir = HERE) -> None:  # noqa: FBT002 - a switch
    """List the open cases, with what each reporter said and what is booked."""
    _run("mismatches", action="list", as_json=as_json, data_dir=data_dir, needs="open_operations")


@mismatches.command("accept")
def accept_mismatch(mismatch_id: MismatchId, reason: WhyDecided, data_dir: DataDir = HERE) -> None:
    """Take the word that what is booked does not follow yet."""
    _run(
        "mismatches", action="accept", mismatch_id=mismatch_id, reason=reason, data_dir=data_dir,
        needs="open_operations",
    )  # fmt: skip


@mismatches.command("drop")
def drop_mismatch(mismatch_id: MismatchId, reason: WhyDecided, data_dir: DataDir = HERE) -> None:
    """Leave what is booked as it is, and close the case."""
    _run(
        "mismatches", action="drop", mismatch_id=mismatch_id, reason=reason, data_dir=data_dir,
        needs="open_operations",
    )  # fmt: skip


inbox = typer.Typer(help="List, book or drop warehouse events that wait.", no_args_is_help=True)
cli.add_typer(inbox, name="inbox")


@inbox.command("list")
def list_inbox(as_json: AsJson = False, data_dir: DataDir = HERE) -> None:  # noqa: FBT002 - a switch
    """Print the events that wait for their turn, their document or a person."""
    _run("inbox", action="list", as_json=as_json, data_dir=data_dir, needs="open_operations")


@inbox.command("retry")
def retry_event(source: Source, event_id: EventId, data_dir: DataDir = HERE) -> None:
    """Book an event that waits, whatever is missing."""
    _run(
        "inbox",
        action="retry",
        source=source,
        event_id=event_id,
        data_dir=data_dir,
        needs="open_operations",
    )


@inbox.command("drop")
def drop_event(source: Source, event_id: EventId, reason: DropReason, data_dir: DataDir = HERE) -> None:
    """Never book an event that waits."""
    _run(
        "inbox",
        action="drop",
        source=source,
        event_id=event_id,
        reason=reason,
        data_dir=data_dir,
        needs="open_operations",
    )


@cli.command()
def reconcile(
    file: Snapshot,
    *,
    warehouse: CountedWarehouse,
    as_of: CountedAt,
    rows: SnapshotRows = None,
    partial: Partial = False,
    add_up: AddUp = False,
    names: Names = None,
    form: Form = None,
    encoding: Encoding = None,
    codes: TakeCodes = None,
    accept_last_line: AcceptLastLine = False,
    html: HtmlFile = None,
    csv: CsvFile = None,
    as_json: AsJson = False,
    data_dir: DataDir = HERE,
) -> None:
    """Compare what a warehouse has (.csv, .ndjson or .json) with the ledger, as of the time it was counted."""
    from app.operations.snapshots.csv_lines import COLUMNS  # noqa: PLC0415 - only when a command needs it

    options = file_options(
        COLUMNS, names=names, form=form, encoding=encoding, codes=codes, accepts_last_line=accept_last_line
    )
    _run(
        "reconcile",
        file=file,
        warehouse=warehouse,
        as_of=as_of,
        rows=rows,
        partial=partial,
        adds_up=add_up,
        options=options,
        html=html,
        csv=csv,
        as_json=as_json,
        data_dir=data_dir,
        failed=NOT_COMPARED,
        needs="open_stores",
    )


reconciliations = typer.Typer(help="List, show, approve or undo reconciliations.", no_args_is_help=True)
cli.add_typer(reconciliations, name="reconciliations")


@reconciliations.command("list")
def list_reconciliations(
    warehouse: OfWarehouse = None,
    as_json: AsJson = False,  # noqa: FBT002 - a switch
    data_dir: DataDir = HERE,
) -> None:
    """Print the newest reconciliations."""
    _reconciliations("list", data_dir, warehouse=warehouse, as_json=as_json)


@reconciliations.command("show")
def show_reconciliation(
    reconciliation_id: ReconciliationId,
    html: HtmlFile = None,
    csv: CsvFile = None,
    as_json: AsJson = False,  # noqa: FBT002 - a switch
    data_dir: DataDir = HERE,
) -> None:
    """Print what differs most, and again and again; write the whole report to files."""
    _reconciliations(
        "show", data_dir, reconciliation_id=reconciliation_id, html=html, csv=csv, as_json=as_json
    )


@reconciliations.command("approve")
def approve_differences(
    reconciliation_id: ReconciliationId, sku: Skus = None, cause: OfCause = None, data_dir: DataDir = HERE
) -> None:
    """Book differences, as of the time of the count."""
    _reconciliations("approve", data_dir, reconciliation_id=reconciliation_id, skus=sku or (), cause=cause)


@reconciliations.command("undo")
def undo_differences(
    reconciliation_id: ReconciliationId, sku: Skus = None, cause: OfCause = None, data_dir: DataDir = HERE
) -> None:
    """Take booked differences back."""
    _reconciliations("undo", data_dir, reconciliation_id=reconciliation_id, skus=sku or (), cause=cause)


def _reconciliations(action: str, data_dir: Path, **arguments: Any) -> NoReturn:
    _run("reconciliations", action=action, data_dir=data_dir, needs="open_operations", **arguments)


books = typer.Typer(help="Check the ledger.", no_args_is_help=True)
cli.add_typer(books, name="ledger")


@books.command("check")
def check_ledger(as_json: AsJson = False, data_dir: DataDir = HERE) -> None:  # noqa: FBT002 - a switch
    """Check that nothing in the ledger is missing or was edited. Safe on a live system."""
    _run("ledger", as_json=as_json, data_dir=data_dir, failed=NOT_COMPARED, needs="open_ledger")


warehouses = typer.Typer(
    help="List the warehouses, or merge one that should never have been.", no_args_is_help=True
)
cli.add_typer(warehouses, name="warehouses")


@warehouses.command("list")
def list_warehouses(as_json: AsJson = False, data_dir: DataDir = HERE) -> None:  # noqa: FBT002 - a switch
    """Print the warehouses, with what is in each."""
    _run("warehouses", action="list", as_json=as_json, data_dir=data_dir, needs="open_operations")


@warehouses.command("merge")
def merge_warehouse(code: MergedWarehouse, into: IntoWarehouse, data_dir: DataDir = HERE) -> None:
    """Move stock, locks and documents of a warehouse to another one; repeating it goes on."""
    _run("warehouses", action="merge", code=code, into=into, data_dir=data_dir, needs="open_operations")


quarantine = typer.Typer(help="List, retry or drop what the ledger could not book.", no_args_is_help=True)
cli.add_typer(quarantine, name="quarantine")


@quarantine.command("list")
def list_quarantine(as_json: AsJson = False, data_dir: DataDir = HERE) -> None:  # noqa: FBT002 - a switch
    """Print what is parked, since when and why."""
    _run("quarantine", action="list", as_json=as_json, data_dir=data_dir, needs="open_stores")


@quarantine.command("retry")
def retry_quarantine(subject: Parked = None, data_dir: DataDir = HERE) -> None:
    """Book what is parked as far as it can be, of one SKU or document or of all."""
    _run("quarantine", action="retry", subject=subject, data_dir=data_dir, needs="open_stores")


@quarantine.command("drop")
def drop_quarantine(sku: ParkedSku, reason: Reason, data_dir: DataDir = HERE) -> None:
    """Give a SKU's parked moves up; the difference to the hot store is booked as an event with the reason."""
    _run("quarantine", action="drop", subject=sku, reason=reason, data_dir=data_dir, needs="open_stores")


keys = typer.Typer(help="Make keys for those who call the API.", no_args_is_help=True)
cli.add_typer(keys, name="keys")


@keys.callback()
def _keys() -> None:
    """Make keys for those who call the API."""


@keys.command("new")
def new_key(name: KeyName, scopes: KeyScopes, expires: KeyExpires = None) -> None:
    """Print a new key, which is shown only this once, and its entry for the settings."""
    _run("keys", caller=name, scopes=scopes, expires=expires)


@cli.command(hidden=True)
def demo(data_dir: DataDir = HERE) -> None:
    """Fill a new service with the demo catalogue."""
    _run("demo", data_dir=data_dir, needs="open_operations")


def _end_quietly() -> None:
    """Let SIGTERM end a process with 0 from its first moments on, in which it does nothing but import its code."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))


def _run(name: str, *, failed: int = REFUSED, needs: str = "", **arguments: Any) -> NoReturn:
    """Call `app.commands.<name>.<name>`, which may be async, and exit with the code it returns (None: 0)."""
    forget_defaults()
    try:
        if has_settings():  # reading them takes a while, and `replay` needs none
            import_module("app.settings").refuse_unknown()
        if needs:
            # Handed in, because commands stand below bootstrap, the one module that knows everything.
            arguments[needs] = getattr(import_module("app.bootstrap"), needs)
            # Standard output is for what a command answers.
            import_module("app.telemetry").configure_logging("WARNING")
        command = getattr(import_module(f"app.commands.{name}"), name)
        _let_interrupt()
        code = command(**arguments)
        if inspect.iscoroutine(code):
            code = asyncio.run(code)
        sys.stdout.flush()
    except SellableError as error:
        _complain(str(error))
        raise typer.Exit(failed) from error
    except ValueError as error:
        if not (sentence := _settings_sentence(error)):
            raise
        _complain(sentence)
        raise typer.Exit(failed) from error
    except OSError as error:
        _complain_of(error)
        raise typer.Exit(failed) from error
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(code or 0)


def _let_interrupt() -> None:
    """Let Ctrl-C end a command as Python does, by an exception: until now it ended the process."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _complain_of(error: OSError) -> None:
    """Say what the system refused; a reader of our output that has read enough (`| head`) needs no word."""
    printing = error.errno in {errno.ENOSPC, errno.EIO, errno.EBADF}
    where = error.filename or ("what is printed cannot be written" if printing else "the system refused")
    if error.errno != errno.EPIPE:
        _complain(f"{where}: {error.strerror or error}")


def _flush() -> None:
    """Write what standard output still holds, or Python would try at the end and complain."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        give_up(sys.stdout)


def _settings_sentence(error: ValueError) -> str:
    """What is wrong with the environment, if it was the settings that refused it; else nothing."""
    # By name: pydantic would be a heavy import for a command that does not need it.
    if type(error).__name__ == "SettingsError":
        return str(error)
    if type(error).__name__ != "ValidationError" or getattr(error, "title", "") != "Settings":
        return ""
    problems: Any = error
    places = (("_".join(map(str, one["loc"])).upper(), one["msg"]) for one in problems.errors())
    return "; ".join(f"SELLABLE_{name}: {message}" if name else message for name, message in places)


def _complain(sentence: str) -> None:
    say(f"sellable: {' '.join(sentence.split())}")


def main() -> None:
    """Run the command that the arguments name, and exit."""
    try:
        cli(prog_name="sellable")
    finally:
        _flush()
        # What is left to do cannot be interrupted without a traceback: let Ctrl-C end the process.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
