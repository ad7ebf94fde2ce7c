"""Line charts as SVG, without a library: axes, a grid, lines with points, a legend."""

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path

from bench.report import Point, Results

WIDTH, HEIGHT = 820, 420
LEFT, RIGHT, TOP, BOTTOM = 80, 300, 50, 60
COLOURS = ("#1f5fa8", "#c2410c", "#15803d", "#7e22ce", "#b91c1c", "#0e7490", "#a16207", "#475569")
_FONT = 'font-family="sans-serif" font-size="12"'
Series = Mapping[str, Sequence[tuple[float, float]]]


class Axis:
    """Maps values to pixels; logarithmic where `log` says so."""

    def __init__(self, values: Sequence[float], start: float, end: float, *, log: bool) -> None:
        self._log = log
        self._start, self._end = start, end
        low, high = (min(values), max(values)) if log else (0.0, max(values) * 1.05)
        self.low, self.high = (low, high) if high > low else (low, low + 1 if not log else low * 10)

    def at(self, value: float) -> float:
        """The pixel of a value."""
        low, high, here = self.low, self.high, value
        if self._log:
            low, high, here = math.log10(low), math.log10(high), math.log10(value)
        return self._start + (self._end - self._start) * (here - low) / (high - low)

    def ticks(self) -> list[float]:
        """A few round values."""
        step = 10 ** math.floor(math.log10(self.high))
        while self.high / step < 4:
            step /= 2
        return [number * step for number in range(int(self.high / step) + 1)]


def chart(title: str, x_label: str, y_label: str, series: Series) -> str:
    """One chart; x is logarithmic and marked where there are points."""
    points = [point for line in series.values() for point in line]
    x = Axis([point[0] for point in points], LEFT, WIDTH - RIGHT, log=True)
    y = Axis([point[1] for point in points], HEIGHT - BOTTOM, TOP, log=False)
    marks = sorted({point[0] for point in points})
    box = f"0 0 {WIDTH} {HEIGHT}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="{box}" {_FONT}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 26, title, size=16),
        *(_x_mark(x.at(mark), mark) for mark in marks),
        *(_y_mark(y.at(tick), tick) for tick in y.ticks()),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16, x_label, anchor="middle"),
        _text(LEFT, 44, y_label),
        *(_line(number, name, line, x, y) for number, (name, line) in enumerate(series.items())),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _line(number: int, name: str, line: Sequence[tuple[float, float]], x: Axis, y: Axis) -> str:
    colour = COLOURS[number % len(COLOURS)]
    places = [(x.at(point[0]), y.at(point[1])) for point in line]
    path = " ".join(f"{left:.1f},{top:.1f}" for left, top in places)
    dots = "".join(f'<circle cx="{left:.1f}" cy="{top:.1f}" r="3" fill="{colour}"/>' for left, top in places)
    at = TOP + 12 + 20 * number
    legend = f'<rect x="{WIDTH - RIGHT + 16}" y="{at - 9}" width="12" height="4" fill="{colour}"/>'
    words = _text(WIDTH - RIGHT + 34, at, name, size=11)
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>{dots}{legend}{words}'


def _x_mark(left: float, value: float) -> str:
    return _rule(left, TOP, left, HEIGHT - BOTTOM) + _text(
        left, HEIGHT - BOTTOM + 18, f"{value:,.0f}", anchor="middle"
    )


def _y_mark(top: float, value: float) -> str:
    return _rule(LEFT, top, WIDTH - RIGHT, top) + _text(LEFT - 8, top + 4, f"{value:,g}", anchor="end")


def _rule(left: float, top: float, right: float, bottom: float) -> str:
    return f'<line x1="{left:.1f}" y1="{top:.1f}" x2="{right:.1f}" y2="{bottom:.1f}" stroke="#e2e8f0"/>'


def _text(left: float, top: float, words: str, *, anchor: str = "start", size: int = 12) -> str:
    return (
        f'<text x="{left:.1f}" y="{top:.1f}" text-anchor="{anchor}" font-size="{size}">{escape(words)}</text>'
    )


_MEASURES: Mapping[str, tuple[str, Callable[[Point], float]]] = {
    "rate": ("requests/s", lambda point: point.rate),
    "latency": ("p99 in ms", lambda point: point.p99_ms),
}
_X_LABELS = {"catalogue": "SKUs in the catalogue", "pages": "SKUs asked for"}


def write_plots(folder: Path, results: Results) -> list[Path]:
    """A chart of rate and one of latency for each curve; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for curve, lines in results.curves.items():
        x_label = _X_LABELS.get(curve, "connections, each with one request in flight")
        for measure, (y_label, value_of) in _MEASURES.items():
            series = {
                name: [(point.x, value_of(point)) for point in points] for name, points in lines.items()
            }
            path = folder / f"{curve}-{measure}.svg"
            path.write_text(chart(f"{curve}: {measure}", x_label, y_label, series), encoding="utf-8")
            written.append(path)
    return written
