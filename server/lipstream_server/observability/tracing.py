"""OpenTelemetry set-up; the packages are imported only where traces are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer


class TracingError(RuntimeError):
    """Traces were asked for and their packages are missing; `exit_code` is that of the command."""

    exit_code = 2


def open_tracer(exporter: SpanExporter | None = None) -> Tracer:
    """Return a tracer that exports to `exporter`, by default to an OTLP collector over HTTP.

    The collector is configured by the standard variables (`OTEL_EXPORTER_OTLP_ENDPOINT` and others).

    Raises:
        TracingError: The packages of the extra `trace` are missing.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise TracingError(f"--trace needs the extra `trace`: pip install -e '.[trace]' ({error})") from error
    provider = TracerProvider(resource=Resource.create({"service.name": "lipstream"}))
    provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter()))
    return provider.get_tracer("lipstream")
