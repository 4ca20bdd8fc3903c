"""Plots: numbers in, SVG and the words of the axis out."""

import re
from xml.etree import ElementTree

import pytest

from exoproxy.admin.figures import count
from exoproxy.admin.plot import Plot, Series, bars, ring, share_bar, times

TIPS = ["13:05", "13:06", "13:07"]
Values = list[float | None]


def drawn(*series: Values) -> Plot:
    layers = [Series(style=f"s{index}", values=values) for index, values in enumerate(series)]
    return bars(layers, description="what is seen", tips=TIPS, unit=count)


def lines(*series: Values) -> Plot:
    layers = [Series(style=f"s{index}", values=values) for index, values in enumerate(series)]
    return times(layers, description="what is seen", tips=TIPS)


def path(plot: Plot, style: str) -> str:
    found = re.search(rf'<path class="(?:line )?{style}" d="([^"]*)">', plot.svg)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("draw", [drawn, lines])
@pytest.mark.parametrize(
    "values",
    [
        [0, 0, 0],
        [None, None, None],
        [0, 7, None],
        [1e-9, 1, 1e-9],
        [10**18, 2**63 - 1, 1],
        [1e9, 1e9, 1e9],
        [1.0, 1.0, 1.0],
    ],
)
def test_whatever_the_numbers(draw: type[Plot], values: Values) -> None:
    """Any numbers give a well-formed drawing, with an axis and nothing that is not a number."""
    plot = draw(values)  # type: ignore[call-arg,arg-type]
    ElementTree.fromstring(plot.svg)  # noqa: S314 - made here

    assert not re.search("nan|inf|e[+-]", plot.svg)
    assert 2 <= len(plot.ticks) <= 9


def test_bars_fill_the_height() -> None:
    """The axis ends at the next round number, and a bar is as high as its part of it."""
    plot = drawn([0, 300, 600])

    assert plot.ticks == ("600", "300", "0")
    assert path(plot, "s0") == "M11 100h8v-50h-8zM21 100h8v-100h-8z"


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (0, ("2", "1", "0")),
        (1, ("2", "1", "0")),
        (10, ("10", "5", "0")),
        (11, ("20", "10", "0")),
        (1_000, ("1 k", "500", "0")),
        (61_000, ("80 k", "40 k", "0")),
    ],
)
def test_axis_is_round(most: int, ticks: tuple[str, ...]) -> None:
    """Its words are numbers that one can halve in the head."""
    assert drawn([most, 0, 0]).ticks == ticks


def test_bars_stand_on_each_other() -> None:
    """The first series is at the bottom, the next begins where it ends."""
    plot = drawn([25, 0, 0], [75, 0, 0])

    assert path(plot, "s0") == "M1 100h8v-25h-8z"
    assert path(plot, "s1") == "M1 75h8v-75h-8z"


def test_one_among_thousands_is_seen() -> None:
    """A bar that would be thinner than a line is drawn as one."""
    assert path(drawn([1, 0, 0], [9_999, 0, 0]), "s0") == "M1 100h8v-2.5h-8z"


def test_times_have_decades() -> None:
    """The axis has as many decades as the times take, equally far from each other."""
    plot = lines([0.01, 0.1, 1.0])

    assert plot.ticks == ("1 s", "100 ms", "10 ms")
    assert path(plot, "s0") == "M5 100L15 50L25 0"


def test_lines_have_gaps() -> None:
    """A minute without a time breaks the line, and a time on its own is a dot."""
    assert path(lines([0.1, None, 1.0]), "s0") == "M5 100h0M25 0h0"


def test_times_out_of_all_bounds() -> None:
    """The axis never spans more than eight decades; what is beyond stays at its end."""
    plot = lines([0.0, 1e-7, 1e8])

    assert (plot.ticks[0], plot.ticks[-1]) == ("2 h 46 min", "0.1 ms")
    assert path(plot, "s0") == "M5 100L15 100L25 0"


def test_words_for_who_does_not_see_it() -> None:
    """The drawing is an image with a description, and each minute has its tooltip, escaped."""
    plot = bars([Series(style="ok", values=[1])], description='"<b>"', tips=["<i>"], unit=count)

    assert 'role="img" aria-label="&quot;&lt;b&gt;&quot;"' in plot.svg
    assert "<title>&lt;i&gt;</title>" in plot.svg


def test_an_hour_without_minutes() -> None:
    """Nothing to draw is drawn as nothing."""
    nothing = Series(style="ok", values=[])

    assert bars([nothing], description="", tips=[], unit=count).ticks == ("2", "1", "0")
    assert times([nothing], description="", tips=[]).ticks[0] == "1 s"


@pytest.mark.parametrize(
    ("part", "filled"), [(-1.0, None), (0.0, None), (0.62, "62 100"), (7.0, "100 100")]
)
def test_rings(part: float, filled: str | None) -> None:
    """A part beyond its bounds is none, or all."""
    found = re.search(r'stroke-dasharray="([^"]*)"', ring(part, "ok"))

    assert (found and found[1]) == filled


@pytest.mark.parametrize(
    ("part", "whole", "width"), [(0, 0, "0"), (0, 9, "0"), (1, 9_000, "1"), (5, 10, "50")]
)
def test_shares(part: int, whole: int, width: str) -> None:
    """What is there is seen."""
    assert f'class="ok" width="{width}"' in share_bar(part, whole)
