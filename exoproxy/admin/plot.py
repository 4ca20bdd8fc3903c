"""Small plots of an hour as inline SVG: numbers in, an element and the words of its axis out.

A plot stretches to the width that it is given, so it holds no text: `Plot.ticks` go beside it, at
equal distances. Colours come from the page's style, by class. Each minute has a tooltip of its
own; for who can't see the plot, its description says what there is to see. Pure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, log10
from typing import Final

from exoproxy.admin.figures import duration
from exoproxy.admin.markup import Html, join, tag

# Units of the drawing: a minute's width, and the height of all.
_STEP: Final = 10
_HEIGHT: Final = 100
_GAP: Final = 1
# What is not zero is seen, however small it is beside the rest.
_LEAST: Final = 2.5
# Seconds between which times are told apart.
_FASTEST: Final = 1e-4
_SLOWEST: Final = 1e4


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One value for each minute, oldest first; None is a minute without. `style` is a class."""

    style: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """The drawing, and what its lines mean, from the top down."""

    svg: Html
    ticks: tuple[str, ...]


def bars(
    series: Sequence[Series],
    *,
    description: str,
    tips: Sequence[str],
    unit: Callable[[float], str],
) -> Plot:
    """Return the series of each minute on top of each other, the first at the bottom.

    The axis begins at zero; `unit` writes its words. `tips` are the minutes' tooltips.
    """
    minutes = len(tips)
    sums = [sum(each.values[index] or 0 for each in series) for index in range(minutes)]
    top = _round_up(max(sums, default=0))
    heights = [0.0] * minutes
    drawn = []
    for each in series:
        path = []
        for index, value in enumerate(each.values):
            if value:
                height = max(value / top * _HEIGHT, _LEAST)
                base = _HEIGHT - heights[index]
                heights[index] += height
                left, width = index * _STEP + _GAP, _STEP - 2 * _GAP
                path.append(f"M{left} {_number(base)}h{width}v-{_number(height)}h-{width}z")
        drawn.append(tag("path", class_=each.style, d="".join(path)))
    return Plot(
        svg=_svg(join(*drawn), description, tips, parts=2),
        ticks=(unit(top), unit(top / 2), unit(0)),
    )


def times(series: Sequence[Series], *, description: str, tips: Sequence[str]) -> Plot:
    """Return lines of seconds on a logarithmic axis of whole decades, with gaps for None."""
    known = [_between(value) for each in series for value in each.values if value is not None]
    low = floor(log10(min(known))) if known else -3
    high = max(ceil(log10(max(known))) if known else 0, low + 1)
    drawn = []
    for each in series:
        points = [
            None if value is None else (high - log10(_between(value))) / (high - low) * _HEIGHT
            for value in each.values
        ]
        drawn.append(tag("path", class_=f"line {each.style}", d=_line(points)))
    return Plot(
        svg=_svg(join(*drawn), description, tips, parts=high - low),
        ticks=tuple(duration(10.0**decade) for decade in range(high, low - 1, -1)),
    )


def ring(part: float, style: str) -> Html:
    """Return a ring of which a part, 0 to 1, is filled, for words that stand inside it."""
    circle = {"cx": 50, "cy": 50, "r": 44, "pathLength": 100}
    filled = min(1.0, max(0.0, part)) * 100
    return tag(
        "svg",
        tag("circle", class_="track", **circle),
        tag("circle", class_=style, stroke_dasharray=f"{_number(filled)} 100", **circle)
        if filled
        else "",
        viewBox="0 0 100 100",
        class_="ring",
        aria_hidden="true",
    )


def share_bar(part: float, whole: float, style: str = "") -> Html:
    """Return a bar of which as much is filled as a number has of another."""
    filled = min(1.0, part / whole) * 100 if whole else 0.0
    filled = max(filled, 1.0) if part else 0.0
    return tag(
        "svg",
        tag("rect", class_="track", width=100, height=1),
        tag("rect", class_=style or "ok", width=_number(filled), height=1),
        viewBox="0 0 100 1",
        preserveAspectRatio="none",
        class_="share",
        aria_hidden="true",
    )


def _svg(drawn: Html, description: str, tips: Sequence[str], *, parts: int) -> Html:
    """Return the element, with lines that divide its height into so many parts."""
    width = len(tips) * _STEP
    heights = (_number(index * _HEIGHT / parts) for index in range(parts + 1))
    grid = "".join(f"M0 {height}h{width}" for height in heights)
    columns = (
        tag("rect", tag("title", tip), x=index * _STEP, width=_STEP, height=_HEIGHT)
        for index, tip in enumerate(tips)
    )
    return tag(
        "svg",
        tag("path", class_="grid", d=grid),
        drawn,
        tag("g", *columns, class_="minutes"),
        viewBox=f"0 0 {width} {_HEIGHT}",
        preserveAspectRatio="none",
        role="img",
        aria_label=description,
    )


def _line(points: Sequence[float | None]) -> str:
    """Return a path through the points in the middle of their minutes; one alone is a dot."""
    path = []
    before: float | None = None
    for index, (point, following) in enumerate(pairwise([*points, None])):
        if point is not None:
            x = index * _STEP + _STEP // 2
            path.append(f"{'M' if before is None else 'L'}{x} {_number(point)}")
            if before is None and following is None:
                path.append("h0")
        before = point
    return "".join(path)


def _between(seconds: float) -> float:
    return min(max(seconds, _FASTEST), _SLOWEST)


def _round_up(number: float) -> float:
    """Return the next of 2, 4, 6, 8, 10, 20, 40 …, whose halves are round, too."""
    number = max(number, 2.0)
    scale = 10.0 ** floor(log10(number))
    return next(scale * step for step in (1, 2, 4, 6, 8, 10) if number <= scale * step)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
