"""Asking a process's admin site, as Prometheus and a balancer do."""

import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

Sample = tuple[str, frozenset[tuple[str, str]]]


def get(port: int, path: str) -> tuple[int, str]:
    """Return status and content."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples(port: int) -> dict[Sample, float]:
    """Return what /metrics says."""
    status, text = get(port, "/metrics")
    assert status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(found: dict[Sample, float], name: str, **labels: str) -> float:
    """Return one of them, without the name's prefix; 0 where there is none."""
    return found.get((f"exoproxy_{name}", frozenset(labels.items())), 0)
