"""What the sections of the admin page are made of: tables, pairs, times, commands, sentences."""

from collections.abc import Iterable, Sequence

from exoproxy.admin import figures
from exoproxy.admin.markup import Html, join, tag, text


def section(name: str, title: str, *content: str, wide: bool = False) -> Html:
    """Return a card with its heading; `name` is its id."""
    return tag(
        "section",
        tag("h2", title, id=f"{name}-title"),
        *content,
        id=name,
        class_="wide" if wide else None,
        aria_labelledby=f"{name}-title",
    )


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
    """Return a table whose first column names its rows; heads that begin with `#` are numbers'.

    What is too wide for a narrow screen scrolls within itself, by keyboard too.
    """
    numeric = [head.startswith("#") for head in heads]
    head = tag(
        "tr",
        *(
            tag("th", each.removeprefix("#"), scope="col", class_=_numbers(right))
            for each, right in zip(heads, numeric, strict=True)
        ),
    )
    body = (
        tag(
            "tr",
            *(
                tag("td", cell, class_=_numbers(right))
                if column
                else tag("th", cell, scope="row", class_=_numbers(right))
                for column, (cell, right) in enumerate(zip(row, numeric, strict=True))
            ),
        )
        for row in rows
    )
    return tag(
        "div",
        tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *body)),
        class_="scroll",
        role="region",
        aria_label=caption,
        tabindex=0,
    )


def facts(*pairs: tuple[str, str] | None) -> Html:
    """Return names with their values, as a list of descriptions; None is left out."""
    return tag(
        "dl",
        *(tag("div", tag("dt", name), tag("dd", value)) for name, value in filter(None, pairs)),
    )


def fold(name: str, title: str, *content: str) -> Html:
    """Return what is there for who opens it; `name` is its id, by which it stays open."""
    return tag("details", tag("summary", title), *content, id=name)


def empty(sentence: str) -> Html:
    """Return what stands where there is nothing to show."""
    return tag("p", sentence, class_="empty")


def ago(then: str, now: str) -> Html:
    """Return a moment as the time since it, and in full to who points at it."""
    return _time(then, figures.ago(then, now))


def day(then: str) -> Html:
    """Return a moment as a date and a time of day."""
    return _time(then, f"{figures.moment(then):%-d %b %Y, %H:%M} UTC")


def sentence(words: str) -> Html:
    """Return a sentence; what stands in it between backticks is code."""
    pieces = words.split("`")
    if len(pieces) % 2 == 0:
        return text(words)
    return join(*(tag("code", each) if odd % 2 else each for odd, each in enumerate(pieces)))


def command(line: str) -> Html:
    """Return a command line, which one click selects as a whole."""
    return tag("code", line, class_="command")


def _time(then: str, words: str) -> Html:
    full = f"{figures.moment(then):%Y-%m-%d %H:%M:%S} UTC"
    return tag("time", words, datetime=then, title=full)


def _numbers(right: bool) -> str | None:
    return "n" if right else None
