"""Parts of the OpenAPI document that do not follow from types: problems, forms with files, and webhooks."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Header, Security
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from ..http.problem_details import ProblemAnswer
from ..webhooks.message import WebhookMessage

Responses = dict[int | str, dict[str, Any]]
_PROBLEM_SCHEMA = "#/components/schemas/ProblemAnswer"
_MIDDLEWARE_PROBLEMS = {
    "key_missing": 401,
    "key_wrong": 401,
    "origin_refused": 403,
    "host_refused": 421,
    "too_many_requests": 429,
}
API_KEY = Security(
    HTTPBearer(
        scheme_name="key",
        description="An API key, which `lipstream keys add NAME` makes.",
        auto_error=False,  # the middleware has checked it
    )
)
"""Dependency of routes that need an API key, for the document."""


def problems(**codes: int) -> Responses:
    """Return the `responses` of a route: its problem codes with their statuses, and those of the middleware."""
    by_status: dict[int, list[str]] = {}
    for code, status in {**codes, **_MIDDLEWARE_PROBLEMS}.items():
        by_status.setdefault(status, []).append(code)
    return {status: _problem_response(HTTPStatus(status), names) for status, names in by_status.items()}


def _problem_response(status: HTTPStatus, codes: list[str]) -> dict[str, Any]:
    example = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "code": codes[0],
        "detail": "what was expected, what came, what to do",
    }
    content = {"application/problem+json": {"schema": {"$ref": _PROBLEM_SCHEMA}, "example": example}}
    response: dict[str, Any] = {"description": f"{status.phrase}: {', '.join(codes)}", "content": content}
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        schema = {"type": "integer", "minimum": 0}
        response["headers"] = {
            "Retry-After": {"description": "Seconds to wait.", "schema": schema, "example": 5}
        }
    return response


def without_content(responses: Responses) -> Responses:
    """Return the responses of GET as HEAD has them."""
    return {
        status: {name: value for name, value in response.items() if name != "content"}
        for status, response in responses.items()
    }


def form_body(
    model: type[BaseModel], files: dict[str, str], required: list[str], raw: bool = False
) -> dict[str, Any]:
    """Return the `openapi_extra` of a route that takes a form.

    Args:
        model: Text fields of the form.
        files: Descriptions of the parts that are files, by name.
        required: Names of required parts.
        raw: Whether a file may be sent as the whole body instead.
    """
    schema = model.model_json_schema()
    for name, description in files.items():
        schema["properties"][name] = {"type": "string", "format": "binary", "description": description}
    schema["required"] = required
    content: dict[str, Any] = {"multipart/form-data": {"schema": _without_null(schema)}}
    if raw:
        content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": True, "content": content}}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Remove null from all properties: a form leaves a field out instead."""
    for name, value in schema["properties"].items():
        choices = [each for each in value.pop("anyOf", []) if each.get("type") != "null"]
        merged = {**(choices[0] if choices else {}), **value}
        if merged.get("default", 0) is None:
            del merged["default"]
        schema["properties"][name] = merged
    return schema


def document_webhooks(app: FastAPI) -> None:
    """Add the webhook that the server sends to the document."""

    @app.webhooks.post("clip", status_code=HTTPStatus.NO_CONTENT)
    def clip_ended(
        message: WebhookMessage,
        webhook_id: Annotated[
            str,
            Header(
                description="Id of the message, the same for every attempt.",
                examples=["msg_5f2b8c0d9e1a4b7c6d3e2f10"],
            ),
        ],
        webhook_timestamp: Annotated[
            int, Header(description="Time of this attempt in seconds since 1970.", examples=[1795521600])
        ],
        webhook_signature: Annotated[
            str,
            Header(
                description="`v1,` and the base64 of the HMAC-SHA256 of id, timestamp and body, joined by dots.",
                examples=["v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="],
            ),
        ],
    ) -> None:
        """A clip with a `webhook_url` has ended. The message is repeated until it is answered with 2xx."""


def customize_openapi(app: FastAPI) -> None:
    """Add the schema of problems to the document, and remove FastAPI's own validation errors."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                webhooks=app.webhooks.routes,
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            schemas["ProblemAnswer"] = ProblemAnswer.model_json_schema()
            for name in ("HTTPValidationError", "ValidationError"):
                schemas.pop(name, None)
            for path in (*document["paths"].values(), *document["webhooks"].values()):
                for operation in path.values():
                    responses = operation.get("responses", {})
                    if "HTTPValidationError" in str(responses.get("422")):
                        del responses["422"]
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
