"""Optional dependencies: which extra brings a module that is missing, and how an extra is installed."""

from __future__ import annotations

from collections.abc import Mapping

from . import __version__

MODULES: Mapping[str, frozenset[str]] = {
    "server": frozenset(
        {
            "PIL",
            "ai_edge_litert",
            "alembic",
            "diffusers",
            "fastapi",
            "h11",
            "httptools",
            "jwt",
            "prometheus_client",
            "pydantic_settings",
            "python_multipart",
            "safetensors",
            "sqlalchemy",
            "starlette",
            "torch",
            "transformers",
            "uvicorn",
            "uvloop",
        }
    ),
    "hallo": frozenset({"onnxruntime"}),
    "plots": frozenset({"matplotlib"}),
    "evaluate": frozenset({"skimage"}),
    "live": frozenset({"sounddevice"}),
    "trace": frozenset({"opentelemetry"}),
    "c2pa": frozenset({"c2pa", "cryptography"}),
}
"""Importable modules that each extra brings."""


def extra_of(module: str | None) -> str | None:
    """Return the extra that brings a module, by the module's full name; None for any other module."""
    top = (module or "").partition(".")[0]
    return next((extra for extra, modules in MODULES.items() if top in modules), None)


def install_hint(extra: str) -> str:
    """Return how an extra is installed, in a checkout and from a wheel."""
    wheel = f"dist/lipstream-{__version__}-py3-none-any.whl[{extra}]"
    return f"in a checkout: pip install -e '.[{extra}]'; or with the wheel of `make wheel`: pip install '{wheel}'"
