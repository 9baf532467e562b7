"""The metrics of a real server, read as Prometheus reads them."""

from live_server import get
from prometheus_client.parser import text_string_to_metric_families

Scraped = dict[tuple[str, tuple[str, ...]], float]


async def scrape(address: str) -> Scraped:
    """Values by name and labels' values, in the order of the labels' names; histograms' buckets are left out."""
    status, headers, body = await get(address, "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
        if "le" not in sample.labels
    }
