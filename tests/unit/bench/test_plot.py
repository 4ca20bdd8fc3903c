from xml.etree import ElementTree

from bench.plot import picture


def results(costs: dict[str, float], scenario: str = "static") -> dict[str, object]:
    samples = {front: [{"cost": cost}] for front, cost in costs.items()}
    return {"rows": [{"scenario": scenario, "unit": "µs", "samples": samples}]}


def circles(svg: str) -> list[float]:
    """Return where the marks of exoproxy lie; the first is the legend's."""
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own
    return [float(each.attrib["cx"]) for each in root.iter("{http://www.w3.org/2000/svg}circle")]


def test_what_costs_less_than_nginx_lies_left_of_it() -> None:
    """The same cost is on the line of nginx, a tenth and a thousandth are left of it."""
    same, tenth, least = (
        circles(picture(results({"nginx": 100, "exoproxy": cost})))[1] for cost in (100, 10, 0.1)
    )

    assert same > tenth > least
    assert f'class="base" d="M{same:g} ' in picture(results({"nginx": 100, "exoproxy": 100}))


def test_scenario_without_nginx_is_not_drawn() -> None:
    """There is nothing to compare with."""
    assert circles(picture(results({"exoproxy": 10}))) == []


def test_names_are_escaped() -> None:
    """The picture is well-formed whatever a scenario is called."""
    svg = picture(results({"nginx": 1, "exoproxy": 1}, scenario='<&">'))

    root = ElementTree.fromstring(svg)  # noqa: S314 - our own

    assert '<&">, exoproxy: 1.00 µs' in "".join(root.itertext())
