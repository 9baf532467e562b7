"""uvicorn's HTTP, which keeps headers of any length in memory, with an end to that: nobody needs a key to send headers."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES = 1 << 16
"""Of a request's first line and headers, or of what follows its body, give or take one piece from the network."""


class BoundedHttp(HttpToolsProtocol):
    """Counts what the parser has swallowed since it last gave anything that the application reads."""

    _held = 0

    def data_received(self, data: bytes) -> None:
        self._held += len(data)
        super().data_received(data)
        if self._held > MOST_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The headers are too long.")

    def on_headers_complete(self) -> None:
        self._held = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._held = 0
        super().on_body(body)
