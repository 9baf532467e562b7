"""`python -m lipstream_bench.env_example`: writes the settings into docker/.env.example again, after one has changed."""

from __future__ import annotations

from pathlib import Path

from lipstream_server.config.display import env_lines
from lipstream_server.config.serve_settings import ServeSettings
from lipstream_server.config.sources import LoadedSettings

FILE = Path(__file__).parents[2] / "docker" / ".env.example"
HEADING = "# ---- the server's settings, but for host, port and data, which belong to the image ----\n"
_ELSEWHERE = ("host", "port", "data", "access.key")  # the image's, and one that stands above the heading


def default_lines() -> str:
    """Return the lines below the heading: every setting with its default."""
    return "\n".join(env_lines(LoadedSettings(ServeSettings(), {}), _ELSEWHERE)) + "\n"


def main() -> None:
    """Write the file again. Exits with a message where the heading is missing."""
    head, heading, _ = FILE.read_text().partition(HEADING)
    if not heading:
        raise SystemExit(f"{FILE}: expected the line {HEADING.strip()!r}")
    FILE.write_text(head + heading + default_lines())


if __name__ == "__main__":
    main()
