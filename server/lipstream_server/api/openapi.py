"""Parts of the OpenAPI document that do not follow from types: refusals, and forms with files."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Header
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from ..webhooks.message import WebhookMessage
from .schemas import ProblemAnswer

Responses = dict[int | str, dict[str, Any]]
_PROBLEM = "#/components/schemas/ProblemAnswer"


def refusals(**codes: int) -> Responses:
    """The `responses` of a route, by code and status."""
    by_status: dict[int, list[str]] = {}
    for code, status in codes.items():
        by_status.setdefault(status, []).append(code)
    return {status: _refusal(HTTPStatus(status), names) for status, names in by_status.items()}


def _refusal(status: HTTPStatus, codes: list[str]) -> dict[str, Any]:
    example = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "code": codes[0],
        "detail": "what was expected, what came, what to do",
    }
    content = {"application/problem+json": {"schema": {"$ref": _PROBLEM}, "example": example}}
    answer: dict[str, Any] = {"description": f"{status.phrase}: {', '.join(codes)}", "content": content}
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        schema = {"type": "integer", "minimum": 0}
        answer["headers"] = {"Retry-After": {"description": "Seconds.", "schema": schema, "example": 5}}
    return answer


_KEY = {
    "type": "http",
    "scheme": "bearer",
    "description": "Asked for by a server that others can reach, unless it is said to be open.",
}
_AT_THE_GATE = refusals(
    key_missing=401,
    key_wrong=401,
    origin_refused=403,
    host_refused=421,
    too_many_requests=429,
)


def form(
    model: type[BaseModel], files: dict[str, str], required: list[str], raw: bool = False
) -> dict[str, Any]:
    """`openapi_extra` of a route that takes a form. files: descriptions of its parts that are files. raw: or the file alone."""
    schema = model.model_json_schema()
    for name, said in files.items():
        schema["properties"][name] = {"type": "string", "format": "binary", "description": said}
    schema["required"] = required
    content: dict[str, Any] = {"multipart/form-data": {"schema": _plain(schema)}}
    if raw:
        content["application/octet-stream"] = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": True, "content": content}}


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Without null, which a form cannot say: what is not given is left out."""
    for name, value in schema["properties"].items():
        choices = [each for each in value.pop("anyOf", []) if each.get("type") != "null"]
        merged = {**(choices[0] if choices else {}), **value}
        if merged.get("default", 0) is None:
            del merged["default"]
        schema["properties"][name] = merged
    return schema


def _guard(operation: dict[str, Any]) -> None:
    """What the gate answers before any route does."""
    operation["security"] = [{"key": []}, {}]
    said = operation.setdefault("responses", {})
    for status, refusal in _AT_THE_GATE.items():
        before = said.get(str(status))
        if before is None:
            said[str(status)] = refusal
        else:
            before["description"] += f", {refusal['description'].partition(': ')[2]}"


def _without_bodies(answers: dict[str, Any]) -> dict[str, Any]:
    """HEAD has the answers of GET, without their content."""
    return {
        status: {name: said for name, said in answer.items() if name != "content"}
        for status, answer in answers.items()
    }


def document_webhooks(app: FastAPI) -> None:
    """What is sent to others, who answer with a 2xx."""

    @app.webhooks.post("clip", status_code=HTTPStatus.NO_CONTENT)
    def clip(
        message: WebhookMessage,
        webhook_id: Annotated[
            str, Header(description="The same for every attempt.", examples=["msg_5f2b8c0d9e1a4b7c6d3e2f10"])
        ],
        webhook_timestamp: Annotated[
            int, Header(description="Of this attempt, seconds since 1970.", examples=[1795521600])
        ],
        webhook_signature: Annotated[
            str,
            Header(
                description="`v1,` and the base64 of the HMAC-SHA256 of id, timestamp and body, with dots between them.",
                examples=["v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="],
            ),
        ],
    ) -> None:
        """A clip with a `webhook_url` has ended. It may come more than once: until it is answered with 2xx."""


def document(app: FastAPI) -> None:
    """Add the schema that all refusals share, and what is refused at the gate."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                webhooks=app.webhooks.routes,
            )
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            schemas["ProblemAnswer"] = ProblemAnswer.model_json_schema()
            for unused in ("HTTPValidationError", "ValidationError"):
                schemas.pop(unused, None)
            made["components"]["securitySchemes"] = {"key": _KEY}
            for name, path in {**made["paths"], **made["webhooks"]}.items():
                for method, operation in path.items():
                    if name.startswith("/v1/"):
                        _guard(operation)
                    said = operation.get("responses", {})
                    if "HTTPValidationError" in str(said.get("422")):
                        del said["422"]
                    if method == "head":
                        operation["responses"] = _without_bodies(said)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
