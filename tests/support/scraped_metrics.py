"""Metrics of a real server, scraped and parsed as Prometheus does it."""

from live_server import get
from prometheus_client.parser import text_string_to_metric_families

Scraped = dict[tuple[str, tuple[str, ...]], float]


async def scrape(address: str) -> Scraped:
    """Return values by name and label values, ordered by label name; histogram buckets are left out."""
    status, headers, body = await get(address, "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
        if "le" not in sample.labels
    }
