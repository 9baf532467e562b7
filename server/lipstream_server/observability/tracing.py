"""OpenTelemetry set-up; the packages are imported only where traces are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer


class TracingError(RuntimeError):
    """Traces were asked for and cannot be made; see lipstream_client/cli.py for `exit_code`."""

    exit_code = 2


def open_tracer(exporter: SpanExporter | None = None) -> Tracer:
    """To an OTLP collector over HTTP, set up by the usual variables (OTEL_EXPORTER_OTLP_ENDPOINT ...), or to `exporter`.

    Raises TracingError where the packages are missing.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingError(f"tracing needs `pip install 'lipstream[trace]'` ({error})") from error
    provider = TracerProvider(resource=Resource.create({"service.name": "lipstream"}))
    provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
    return provider.get_tracer("lipstream")
