"""Plots as inline SVG: nothing is loaded from elsewhere, and colours follow the page's."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH = 520
WIDE = 1_060
"""Units of a plot over half of the page, or all of it: about one is a pixel, so that letters keep their size."""
ROW = 30
_LABEL = 176
_FIGURE = 112
_FOOT = 26
_HEAD = 18
_TICKS_MAX = 6


class Bar(NamedTuple):
    """One bar of two parts: `more` and `less`, both from 0 up; `title` is shown when it is pointed at."""

    label: str
    more: int
    less: int
    figure: str = ""
    title: str = ""


def bars(rows: Sequence[Bar], title: str) -> str:
    """Return bars that lie: labels on the left, figures on the right, widths by `more` + `less`."""
    longest = max((row.more + row.less for row in rows), default=0) or 1
    room = WIDTH - _LABEL - _FIGURE
    parts = []
    for number, row in enumerate(rows):
        y = number * ROW
        more, less = (max(units * room / longest, 1.5 if units else 0) for units in (row.more, row.less))
        parts.append(
            f"<g><title>{escape(row.title or row.label)}</title>"
            f'<text x="{_LABEL - 10}" y="{y + 20}" text-anchor="end">{escape(row.label)}</text>'
            f"{_rect(_LABEL, y + 6, more, 18, 'more')}{_rect(_LABEL + more, y + 6, less, 18, 'less')}"
            f'<text class="dim" x="{_LABEL + more + less + 8:.1f}" y="{y + 20}">{escape(row.figure)}</text></g>'
        )
    return _svg(parts, len(rows) * ROW + 4, title)


def columns(rows: Sequence[Bar], title: str, height: int = 250) -> str:
    """Return columns that stand: `more` up from the middle line, `less` down from it."""
    highest = max((max(row.more, row.less) for row in rows), default=0) or 1
    half = (height - _FOOT - 2 * _HEAD) / 2
    middle, step = _HEAD + half, WIDTH / max(len(rows), 1)
    parts = [f'<line class="axis" x1="0" x2="{WIDTH}" y1="{middle:.1f}" y2="{middle:.1f}"/>']
    for number, row in enumerate(rows):
        x, width = number * step + step * 0.15, step * 0.7
        up, down = (max(units * half / highest, 1.5 if units else 0) for units in (row.more, row.less))
        centre = x + width / 2
        parts.append(
            f"<g><title>{escape(row.title or row.label)}</title>"
            f"{_rect(x, middle - up, width, up, 'more')}{_rect(x, middle, width, down, 'less')}"
            f"{_figure(centre, middle - up - 5, row.more)}{_figure(centre, middle + down + 14, row.less)}"
            f'<text class="dim" x="{centre:.1f}" y="{height - 6}" text-anchor="middle">{escape(row.label)}</text></g>'
        )
    return _svg(parts, height, title)


def line(points: Sequence[tuple[str, int]], title: str, height: int = 170) -> str:
    """Return a line over days, with a dot and a hint for each; the last one's figure is written beside it."""
    highest = max((value for _, value in points), default=0) or 1
    room, left, right = height - _FOOT - _HEAD, 10, WIDE - 60
    step = (right - left) / max(len(points) - 1, 1)
    at = [(left + n * step, _HEAD + room * (1 - value / highest)) for n, (_, value) in enumerate(points)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    floor = _HEAD + room
    parts = [f'<line class="axis" x1="0" x2="{WIDE}" y1="{floor}" y2="{floor}"/>']
    if at:
        area = f"{at[0][0]:.1f},{floor} {path} {at[-1][0]:.1f},{floor}"
        parts.append(f'<polygon class="area" points="{area}"/><polyline class="trend" points="{path}"/>')
        x, y = at[-1]
        parts.append(f'<text x="{x + 10:.1f}" y="{y + 4:.1f}">{points[-1][1]:,}</text>')
    every = max(len(points) // _TICKS_MAX, 1)
    for number, ((x, y), (label, value)) in enumerate(zip(at, points, strict=True)):
        parts.append(
            f'<g><title>{escape(label)}: {value:,}</title><circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/></g>'
        )
        if number % every == 0:
            anchor = "start" if number == 0 else "middle"
            parts.append(
                f'<text class="dim" x="{x:.1f}" y="{height - 6}" text-anchor="{anchor}">{escape(label)}</text>'
            )
    return _svg(parts, height, title, WIDE)


def _figure(x: float, y: float, count: int) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle">{count:,}</text>' if count else ""


def _rect(x: float, y: float, width: float, height: float, kind: str) -> str:
    if not width or not height:
        return ""
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="2"/>'


def _svg(parts: Sequence[str], height: float, title: str, width: int = WIDTH) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height:.0f}" role="img" aria-label="{escape(title)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )
