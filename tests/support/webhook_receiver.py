"""Somebody else's server, to which webhooks are sent: real HTTP on a free port of this machine."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pydantic import SecretStr

from lipstream_server.config.settings import WebhookSettings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Answer = Callable[[BaseHTTPRequestHandler, int], None]
"""What is answered to the request with that number, from 0."""


@dataclass(frozen=True)
class Got:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """requests: as they came, each before it is answered."""

    url: str
    port: int
    requests: list[Got] = field(default_factory=list)

    @property
    def ids(self) -> set[str]:
        return {got.headers["webhook-id"] for got in self.requests}


def statuses(*first: int, then: int = 204, **headers: str) -> Answer:
    """These in turn, and another one from then on."""

    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        handler.send_response(first[number] if number < len(first) else then)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


@contextmanager
def receiving(answer: Answer | None = None, context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """answer: 204 to everything without one. context: with TLS."""
    respond = answer or statuses()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.requests.append(Got(self.path, headers, body))
            respond(self, len(found.requests) - 1)

        def log_message(self, format: str, *arguments: object) -> None:
            """In silence."""

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """A sender that hangs up, or does not like the certificate, is part of what is tested."""

    with Quiet(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "http" if context is None else "https"
        port = server.server_address[1]
        found = Receiver(f"{scheme}://127.0.0.1:{port}/hooks/1?a=b", port)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


def webhooks(
    hosts: tuple[str, ...] = ("127.0.0.1",), pauses: tuple[float, ...] = (0.05, 0.05), seconds: float = 10.0
) -> WebhookSettings:
    """Settings of a server that sends to this machine, and tries again soon."""
    return WebhookSettings(
        secret=SecretStr(SECRET),
        allowed_hosts=hosts,
        attempt_timeout_seconds=seconds,
        retry_delays_seconds=pauses,
    )
