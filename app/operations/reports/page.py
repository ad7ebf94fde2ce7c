"""The report of a reconciliation as one page: figures first, then plots, then the SKUs to look at."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from app.domain.reconciliation import Cause, Discrepancy, Kind, Repeated, State, Status, Treatment
from app.domain.times import moment
from app.operations.reconciliations import Report
from app.operations.reports.charts import Bar, bars, columns, line

CAUSES = {
    Cause.PARKED: ("parked", "an event waits in the inbox for its turn or its document"),
    Cause.QUARANTINED: ("quarantined", "an event waits in the inbox for a person"),
    Cause.APPLIED_TWICE: ("applied twice", "two events say the same under two ids"),
    Cause.IN_TRANSIT: ("in transit", "counted there, still on the way with us"),
    Cause.SHIPPED_AFTER_CUT: ("shipped after the cut", "counted as gone, shipped after the snapshot's time"),
    Cause.COUNT_BEFORE_MOVE: (
        "counted before a move",
        "the last moves before the snapshot are not in the count",
    ),
    Cause.COUNT_AFTER_MOVE: ("counted after a move", "the first moves after the snapshot are in the count"),
    Cause.EVENT_MISSING: ("event missing", "nobody told that it shipped or came"),
    Cause.UNEXPLAINED: ("unexplained", "neither ledger nor inbox knows why"),
}
KINDS = {
    Kind.MORE: "more there",
    Kind.LESS: "less there",
    Kind.UNKNOWN_TO_US: "unknown to us",
    Kind.UNKNOWN_TO_WAREHOUSE: "not in the snapshot",
}
MINUS = "\N{MINUS SIGN}"
SIZES = ("1", "2-9", "10-99", "100-999", "1,000+")
"""Classes of differences, in units."""

_STYLE = """
:root{--bg:#f6f7f9;--card:#fff;--ink:#1b2330;--dim:#667085;--line:#e4e7ec;--more:#2f7de1;--less:#e2703a;--ok:#1d8a5b;
--bad:#c2362b;--warn:#a15c07}
@media(prefers-color-scheme:dark){:root{--bg:#11151c;--card:#1a202b;--ink:#e8ecf2;--dim:#98a2b3;--line:#2b3442;
--more:#5b9df0;--less:#f08a58;--ok:#4cc38a;--bad:#ef6a5f;--warn:#e0a044}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 20px 60px}h1{font-size:26px;margin:0}h2{font-size:17px;margin:0 0 4px}
.dim,.note{color:var(--dim)}.note{margin:0 0 12px;font-size:13.5px}.grid{display:grid;gap:16px}
.tiles{grid-template-columns:repeat(auto-fit,minmax(150px,1fr));margin:20px 0 16px}
.two{grid-template-columns:repeat(auto-fit,minmax(min(100%,460px),1fr))}
section,.tile{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:16px 18px}
section{margin-bottom:16px;overflow-x:auto}.two section{margin:0}.tile b{display:block;font-size:26px;line-height:1.25}
.badge{display:inline-block;border-radius:99px;padding:2px 10px;font-size:13px;border:1px solid currentColor;
vertical-align:4px;margin-left:10px}.ok{color:var(--ok)}.bad{color:var(--bad)}.warn{color:var(--warn)}
svg{width:100%;height:auto;display:block}svg text{fill:var(--ink);font-size:13px}svg .dim{fill:var(--dim)}
.more{fill:var(--more);color:var(--more)}.less{fill:var(--less);color:var(--less)}.axis{stroke:var(--line)}
.trend{fill:none;stroke:var(--more);stroke-width:2}.area{fill:var(--more);opacity:.12}.dot{fill:var(--more)}
table{border-collapse:collapse;width:100%;font-size:14px}th,td{padding:7px 10px;border-bottom:1px solid var(--line);
text-align:left;white-space:nowrap}th{color:var(--dim);font-weight:500}.n{text-align:right;font-variant-numeric:
tabular-nums}td.wide{white-space:normal;color:var(--dim);font-size:13px;min-width:180px}tr:last-child td{border:0}
code{white-space:nowrap;background:var(--bg);border:1px solid var(--line);border-radius:6px;padding:1px 6px}
.key{display:inline-block;width:10px;height:10px;border-radius:3px;margin:0 5px 0 12px;background:currentColor}
"""


def page(report: Report) -> str:
    """Return the page; every text from outside is escaped, and it loads nothing."""
    found = report.reconciliation
    title = f"Reconciliation of {found.warehouse}, {_time(found.as_of)}"
    if found.status is not Status.DONE:
        content = (
            f"<section><p>{escape(found.failure or 'It still runs: look again in a moment.')}</p></section>"
        )
    elif not found.totals["discrepancies"]:
        content = _tiles(found.totals) + _agrees() + _trend(report)
    else:
        content = "".join((
            _tiles(found.totals), '<div class="grid two">', _causes(found.totals), _sizes(report), "</div><br>",
            _trend(report), _proposals(report), _worst(report.worst, found.totals), _repeated(report.repeated),
        ))  # fmt: skip
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"{_head(report)}{content}</main></body></html>"
    )


def _head(report: Report) -> str:
    found = report.reconciliation
    kind, word = _verdict(found.status, found.totals)
    whole = "" if found.whole else " · the snapshot does not say where it ends, so nothing is booked unasked"
    return (
        f'<h1>{escape(found.warehouse)}<span class="badge {kind}">{word}</span></h1>'
        f'<div class="dim">as of {_time(found.as_of)} UTC · {found.lines:,} lines counted · '
        f"{escape(found.reconciliation_id)}{whole}{_of_what(found.totals)}</div>"
    )


def _of_what(totals: Mapping[str, Any]) -> str:
    """What of the warehouse was not compared."""
    partial = " · of some SKUs only" if totals.get("partial") else ""
    skipped = totals.get("skus_skipped") or totals.get("lines_bad")
    left = (
        f" · {totals['skus_skipped']:,} SKUs not compared, {totals['lines_bad']:,} lines not read"
        if skipped
        else ""
    )
    return partial + left


def _verdict(status: Status, totals: Mapping[str, Any]) -> tuple[str, str]:
    if status is not Status.DONE:
        return ("bad" if status is Status.FAILED else "warn"), str(status)
    if totals.get("alarm"):
        return "bad", "alarm: far too many differ"
    return ("warn", "differs") if totals["discrepancies"] else ("ok", "agrees")


def _tiles(totals: Mapping[str, Any]) -> str:
    agreeing = totals["skus"] - totals["skus_differing"]
    share = f"{agreeing / totals['skus']:.2%} agree" if totals["skus"] else ""
    tiles = (
        (f"{totals['skus']:,}", "SKUs compared", ""),
        (f"{totals['skus_differing']:,}", f"SKUs differ · {share}", ""),
        (f"+{totals['units_more']:,}", "units more there: can't be sold", "more"),
        (f"{MINUS}{totals['units_less']:,}", "units less there: can't be shipped", "less"),
    )
    shown = "".join(f'<div class="tile"><b class="{kind}">{n}</b>{text}</div>' for n, text, kind in tiles)
    return f'<div class="grid tiles">{shown}</div>'


def _agrees() -> str:
    return "<section><h2>Nothing differs</h2><p>Every count is what the ledger says was there.</p></section>"


def _causes(totals: Mapping[str, Any]) -> str:
    rows = []
    by_cause = sorted(totals["by_cause"].items(), key=lambda item: -item[1]["discrepancies"])
    for cause, sums in by_cause:
        name, why = CAUSES[Cause(cause)]
        more, less = sums["units_more"], sums["units_less"]
        # The length is the number of differences, shared out by units: one lost pallet must not hide all others.
        part = round(sums["discrepancies"] * 1000 * more / ((more + less) or 1))
        figure = f"{sums['discrepancies']:,}  (+{more:,} {MINUS}{less:,})"
        rows.append(Bar(name, part, sums["discrepancies"] * 1000 - part, figure, why))
    return (
        '<section><h2>Likely causes</h2><p class="note">differences by cause, with units'
        f"{_keys()}</p>{bars(rows, 'differences by cause')}</section>"
    )


def _sizes(report: Report) -> str:
    sums = [[0, 0] for _ in SIZES]
    for is_more, size, count in report.sizes:
        sums[min(size, len(SIZES) - 1)][0 if is_more else 1] += count
    rows = [
        Bar(label, more, less, title=f"{label} units: {more:,} more, {less:,} less")
        for label, (more, less) in zip(SIZES, sums, strict=True)
    ]
    return (
        '<section><h2>How large they are</h2><p class="note">differences by units'
        f"{_keys()}</p>{columns(rows, 'differences by size')}</section>"
    )


def _keys() -> str:
    return '<i class="key more"></i>more there<i class="key less"></i>less there'


def _trend(report: Report) -> str:
    if len(report.days) < 2:
        return ""
    points = [(_time(day.as_of)[5:10], int(day.totals["skus_differing"])) for day in report.days]
    return (
        '<section><h2>Day by day</h2><p class="note">SKUs that differ, in the last '
        f"{len(points)} reconciliations of this warehouse</p>{line(points, 'SKUs that differ by day')}</section>"
    )


def _proposals(report: Report) -> str:
    counts = " · ".join(
        f"<b>{report.treatments[name]:,}</b> {name}" for name in Treatment if report.treatments.get(name)
    )
    called = escape(report.reconciliation.reconciliation_id)
    waiting = report.treatments.get(Treatment.PROPOSED, 0)
    hint = (
        f"<p>{waiting:,} wait for approval: <code>sellable reconciliations approve {called}</code>, and "
        f"<code>sellable reconciliations undo {called}</code> takes it back.</p>"
        if waiting
        else ""
    )
    return f"<section><h2>What is done about them</h2><p>{counts}</p>{hint}</section>"


def _worst(worst: Sequence[Discrepancy], totals: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.sku)}</td><td>{_state(one.state)}</td><td>{KINDS[one.kind]}</td>"
        f'<td class="n">{one.expected:,}</td><td class="n">{one.counted:,}</td>{_difference(one.difference)}'
        f'<td>{CAUSES[one.cause][0]}</td><td class="wide">{_evidence(one.evidence)}</td><td>{one.treatment}</td></tr>'
        for one in worst
    )
    head = "".join(f"<th>{name}</th>" for name in ("SKU", "", "kind"))
    head += "".join(f'<th class="n">{name}</th>' for name in ("expected", "counted", "difference"))
    head += "".join(f"<th>{name}</th>" for name in ("likely cause", "evidence", "treatment"))
    of = (
        f"the {len(worst)} largest of {totals['discrepancies']:,}"
        if len(worst) < totals["discrepancies"]
        else "all"
    )
    return (
        f'<section><h2>The worst</h2><p class="note">{of}</p>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></section>"
    )


def _repeated(repeated: Sequence[Repeated]) -> str:
    if not repeated:
        return ""
    rows = "".join(
        f'<tr><td>{escape(one.sku)}</td><td>{_state(one.state)}</td><td class="n">{one.times}</td>'
        f"<td>{_time(one.first_as_of)}</td>{_difference(one.difference)}</tr>"
        for one in repeated
    )
    return (
        '<section><h2>Again and again</h2><p class="note">SKUs that differed in earlier reconciliations too: '
        "look at their places on the shelf, and at what reports them</p><table><thead><tr><th>SKU</th><th></th>"
        '<th class="n">times</th><th>since</th><th class="n">difference now</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></section>"
    )


def _difference(units: int) -> str:
    sign, kind = ("+", "more") if units > 0 else (MINUS, "less")
    return f'<td class="n {kind}">{sign}{abs(units):,}</td>'


def _state(state: State) -> str:
    return "damaged" if state is State.DAMAGED else ""


def _evidence(evidence: Mapping[str, Any]) -> str:
    parts = []
    for name, value in evidence.items():
        told = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        parts.append(f"{name.replace('_', ' ')}: {told}")
    # The brace is how ids of two parts are kept apart; a person reads a slash more easily.
    return escape("; ".join(parts).replace("{", " / "))


def _time(ms: int) -> str:
    return moment(ms).strftime("%Y-%m-%d %H:%M")
