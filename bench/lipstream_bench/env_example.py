"""`python -m lipstream_bench.env_example`: writes the settings into docker/.env.example again, after one has changed."""

from __future__ import annotations

from pathlib import Path

from lipstream_server.config.effective import effective
from lipstream_server.config.env_file import env_lines
from lipstream_server.config.serve_settings import ServeSettings

FILE = Path(__file__).parents[2] / "docker" / ".env.example"
MARK = "# ---- the server's settings, but for host, port and data, which belong to the image ----\n"
_ELSEWHERE = ("host", "port", "data", "access.key")  # the image's, and one that stands above the mark


def settings() -> str:
    """What belongs below the mark."""
    return "\n".join(env_lines(effective(ServeSettings, {}, {}), _ELSEWHERE)) + "\n"


def main() -> None:
    head, mark, _ = FILE.read_text().partition(MARK)
    if not mark:
        raise SystemExit(f"{FILE}: expected the line {MARK.strip()!r}")
    FILE.write_text(head + mark + settings())


if __name__ == "__main__":
    main()
