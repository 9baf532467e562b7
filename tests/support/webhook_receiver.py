"""A receiver of webhooks: a real HTTP server on a free port of this machine."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pydantic import SecretStr

from lipstream_server.config.settings import WebhookSettings

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Respond = Callable[[BaseHTTPRequestHandler, int], None]
"""Answers a request, whose number counts from 0."""


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """A running receiver.

    Attributes:
        url: Address for webhooks.
        port: TCP port.
        requests: Received requests, each before it is answered.
    """

    url: str
    port: int
    requests: list[ReceivedRequest] = field(default_factory=list)

    @property
    def ids(self) -> set[str]:
        """Ids of the received messages."""
        return {request.headers["webhook-id"] for request in self.requests}


def statuses(*first: int, then: int = 204, **headers: str) -> Respond:
    """Answer with these statuses in turn, and with another one from then on."""

    def respond(handler: BaseHTTPRequestHandler, number: int) -> None:
        handler.send_response(first[number] if number < len(first) else then)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return respond


@contextmanager
def receiving(respond: Respond | None = None, context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Run a receiver, while the context lasts.

    Args:
        respond: Answers requests; without one, with 204.
        context: TLS context; without one, the receiver speaks plain HTTP.
    """
    respond_to = respond or statuses()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.requests.append(ReceivedRequest(self.path, headers, body))
            respond_to(self, len(receiver.requests) - 1)

        def log_message(self, format: str, *arguments: object) -> None:
            """Log nothing."""

    class QuietServer(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Ignore senders that hang up or refuse the certificate, as tests make them do."""

    with QuietServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "http" if context is None else "https"
        port = server.server_address[1]
        receiver = Receiver(f"{scheme}://127.0.0.1:{port}/hooks/1?a=b", port)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


def webhooks(
    hosts: tuple[str, ...] = ("127.0.0.1",), pauses: tuple[float, ...] = (0.05, 0.05), seconds: float = 10.0
) -> WebhookSettings:
    """Return settings of a server that sends webhooks to this machine, with short retry delays."""
    return WebhookSettings(
        secret=SecretStr(SECRET),
        allowed_hosts=hosts,
        attempt_timeout_seconds=seconds,
        retry_delays_seconds=pauses,
    )
