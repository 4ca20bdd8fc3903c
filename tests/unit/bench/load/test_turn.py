from bench.load.turn import percentile


def test_percentile_is_one_of_the_values() -> None:
    """Of 1 to 100 the median is 50 and the 99th percentile is 99; one value alone is both."""
    values = [float(n) for n in range(100, 0, -1)]

    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.99) == 99
    assert percentile([7.0], 0.5) == percentile([7.0], 0.99) == 7
