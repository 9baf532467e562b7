"""The server keeps to its OpenAPI document. `python -m lipstream_bench.reliability.contract` runs the long check."""

import asyncio
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from live_server import running
from rest_client import ask_json

from lipstream_bench.reliability.contract import run_schemathesis


@pytest.mark.slow
async def test_server_has_no_contract_violation(tmp_path: Path) -> None:
    options = ["--max-examples", "2", "--seed", "1", "--phases", "examples,fuzzing", "--max-time", "15"]
    async with running() as address:
        done: subprocess.CompletedProcess[bytes] = await asyncio.to_thread(
            run_schemathesis, f"http://{address}/openapi.json", tmp_path, options
        )
    assert done.returncode == 0


def _fields(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return every property of every schema and every parameter, by its location."""
    found = []
    for name, schema in document["components"]["schemas"].items():
        found += [(f"{name}.{field}", value) for field, value in schema.get("properties", {}).items()]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", []):
                found.append((f"{method} {path} {parameter['name']}", {**parameter["schema"], **parameter}))
            for kind in operation.get("requestBody", {}).get("content", {}).values():
                fields = kind["schema"].get("properties", {})
                found += [(f"{method} {path} {field}", value) for field, value in fields.items()]
    return found


async def test_head_is_documented_as_get_without_content() -> None:
    async with running() as address:
        document = (await ask_json(address, "GET", "/openapi.json"))[1]
    heads = {path: each for path, each in document["paths"].items() if "head" in each}
    assert list(heads) == ["/v1/avatars/{avatar}/preview", "/v1/clips/{clip}/video"]
    for path, operations in heads.items():
        head, get = operations["head"]["responses"], operations["get"]["responses"]
        assert set(get) - set(head) == ({"206", "416"} if "clips" in path else set())
        assert set(head) <= set(get)
        assert not any("content" in answer for answer in head.values())
        assert all("content" in answer for status, answer in get.items() if status != "304")


async def test_every_field_has_a_description_and_an_example() -> None:
    async with running() as address:
        document = (await ask_json(address, "GET", "/openapi.json"))[1]
    fields = _fields(document)
    assert len(fields) > 40
    for where, field in fields:
        assert field.get("description"), where
        plain = field.get("format") == "binary" or "$ref" in field or "$ref" in str(field.get("items"))
        assert plain or "examples" in field or "example" in field, where
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for text in (operation.get("summary", ""), operation.get("description", "")):
                assert re.fullmatch(r"[A-Z0-9].*\.", text, re.DOTALL), f"{method} {path}: expected a sentence"
