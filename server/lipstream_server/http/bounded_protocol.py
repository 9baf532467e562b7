"""uvicorn's HTTP protocol with a limit on the size of headers, which uvicorn keeps in memory at any length.

The limit holds before authentication: nobody needs a key to send headers.
"""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 1 << 16
"""Most bytes of a request line with its headers, or of what follows a body, give or take one network read."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """Counts the bytes that the parser consumed since it last produced something that the application reads."""

    _unparsed_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, and refuse the request where its headers are too long."""
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self._unparsed_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The headers are too long.")

    def on_headers_complete(self) -> None:
        """Reset the count."""
        self._unparsed_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Reset the count."""
        self._unparsed_bytes = 0
        super().on_body(body)
