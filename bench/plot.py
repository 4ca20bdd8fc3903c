"""A picture of a run's results as SVG: for each scenario the fronts' costs against nginx's.

On a logarithmic axis, because the fronts are a hundredfold apart; the line in the middle is nginx
as deployed, what lies left of it costs less. Pure: a document of `results` in, text out.
"""

from html import escape
from math import log10
from typing import Any, Final

from bench.results import BASE, Document, figure, medians

_LEFT: Final = 210
_WIDTH: Final = 520
_ROW: Final = 26
_TOP: Final = 56
_RIGHT: Final = 24
# Powers of ten to either side of nginx; what lies beyond is drawn at the edge.
_DECADES: Final = (-2.5, 1.0)
_TICKS: Final = (0.01, 0.1, 1, 10)
# Colours that the colour-blind tell apart (Okabe and Ito), and shapes that do without colour.
_STYLES: Final = {
    "nginx tuned": ("#56b4e9", "square"),
    "HAProxy": ("#009e73", "diamond"),
    "Caddy": ("#e69f00", "square"),
    "aiohttp": ("#999999", "diamond"),
    "exoproxy": ("#d55e00", "circle"),
    "exoproxy fast": ("#cc79a7", "circle"),
}


def picture(results: Document) -> str:
    """Return the SVG; scenarios without a figure of nginx are not in it."""
    rows = [(row, medians(row)) for row in results["rows"]]
    rows = [(row, costs) for row, costs in rows if costs.get(BASE)]
    shown = [name for name in _STYLES if any(name in costs for _, costs in rows)]
    height = _TOP + _ROW * len(rows) + 34
    bottom = _TOP + _ROW * len(rows)
    parts = [_legend(shown)]
    for tick in _TICKS:
        x = _place(tick)
        style = "base" if tick == 1 else "grid"
        parts.append(f'<path class="{style}" d="M{x} {_TOP - 6}V{bottom}"/>')
        parts.append(f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{tick:g}</text>')
    for number, (row, costs) in enumerate(rows):
        parts.append(_row(row, costs, shown, _TOP + _ROW * number + _ROW // 2))
    width = _LEFT + _WIDTH + _RIGHT
    words = "CPU time or memory for each request, message or connection, nginx as deployed = 1"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(words)}">'
        "<style>text{font:12px sans-serif;fill:#333}.grid{stroke:#ddd}.base{stroke:#333}"
        "path{fill:none}</style>"
        f'<rect width="{width}" height="{height}" fill="#fff"/>'
        f'<text x="12" y="20">{escape(words)}</text>{"".join(parts)}</svg>\n'
    )


def _row(row: dict[str, Any], costs: dict[str, float], shown: list[str], y: int) -> str:
    marks = []
    # Ours last, on top of the others.
    for name in shown:
        if name in costs:
            colour, shape = _STYLES[name]
            tip = f"{row['scenario']}, {name}: {figure(costs[name])} {row['unit']}"
            x = _place(costs[name] / costs[BASE])
            marks.append(_mark(x, y, colour, shape, tip))
    label = f'<text x="{_LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(row["scenario"])}</text>'
    rule = f'<path class="grid" d="M{_LEFT} {y}h{_WIDTH}"/>'
    return label + rule + "".join(marks)


def _legend(shown: list[str]) -> str:
    parts = []
    for number, name in enumerate(shown):
        x = 20 + number * 118
        colour, shape = _STYLES[name]
        parts.append(_mark(x, 37, colour, shape, name))
        parts.append(f'<text x="{x + 10}" y="41">{escape(name)}</text>')
    return "".join(parts)


def _mark(x: float, y: float, colour: str, shape: str, tip: str) -> str:
    title = f"<title>{escape(tip)}</title>"
    if shape == "circle":
        return f'<circle cx="{x:g}" cy="{y:g}" r="6" fill="{colour}">{title}</circle>'
    turn = f' transform="rotate(45 {x:g} {y:g})"' if shape == "diamond" else ""
    corner = f'x="{x - 4.5:g}" y="{y - 4.5:g}" width="9" height="9"'
    return f'<rect {corner} fill="{colour}"{turn}>{title}</rect>'


def _place(ratio: float) -> float:
    """Return where a ratio to nginx lies on the axis."""
    low, high = _DECADES
    part = (min(max(log10(ratio), low), high) - low) / (high - low) if ratio > 0 else 0.0
    return round(_LEFT + part * _WIDTH, 1)
