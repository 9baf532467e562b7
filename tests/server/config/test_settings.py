"""Settings come from four sources, every one has a description, and errors name the setting and its source."""

import os
import re
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from lipstream_client.cli import run
from lipstream_server.config.display import toml_lines
from lipstream_server.config.serve_settings import ServeSettings
from lipstream_server.config.settings import ClipSettings
from lipstream_server.config.sources import (
    FIELDS,
    PREFIX,
    LoadedSettings,
    SettingsError,
    is_secret,
    load_settings,
    option,
    variable,
)


def load(
    options: dict[str, object] | None = None,
    variables: dict[str, str] | None = None,
    file: Path | None = None,
) -> LoadedSettings:
    """Load settings as a process with these variables would."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with patch.dict(os.environ, others | (variables or {}), clear=True):
        return load_settings(options or {}, file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lipstream.toml"
    path.write_text('port = 1\nhost = "a"\ndevice = "cuda:7"\n[clips]\nretention_seconds = 5\n')
    return path


def test_every_description_is_a_sentence_with_its_unit() -> None:
    for key, field in FIELDS.items():
        text = field.description or ""
        assert re.fullmatch(r"[A-Z][^\n]*[A-Za-z0-9)]\.", text), (key, text)
        for unit in ("seconds", "bytes", "frames"):
            if key.endswith(f"_{unit}"):
                assert unit in text.lower(), (key, text)


def test_later_sources_win_and_each_value_knows_its_origin(file: Path) -> None:
    variables = {
        "LIPSTREAM_PORT": "2",
        "LIPSTREAM_HOST": "b",
        "LIPSTREAM_WINDOWS__LENGTHS": "2, 4",
        "HOME": "/",
    }
    found = load({"port": 3, "data": None}, variables, file)
    settings = found.settings
    assert (settings.port, settings.host, settings.device) == (3, "b", "cuda:7")
    assert (settings.clips.retention_seconds, settings.windows.lengths) == (5.0, (2, 4))
    assert settings.fragment_frames == ServeSettings().fragment_frames
    assert found.origins == {
        "port": "--port",
        "host": "LIPSTREAM_HOST",
        "device": str(file),
        "clips.retention_seconds": str(file),
        "windows.lengths": "LIPSTREAM_WINDOWS__LENGTHS",
    }


def test_the_environment_may_name_the_file_and_set_nothing(file: Path) -> None:
    variables = {
        "LIPSTREAM_CONFIG": str(file),
        "LIPSTREAM_KEY": "of the client",
        "LIPSTREAM_MAX_SESSIONS": "",
    }
    assert load(variables=variables).settings == load(file=file).settings


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(file=tmp_path / "missing.toml")


@pytest.mark.parametrize(
    ("toml", "variables", "message"),
    [
        ("prot = 1", {}, r"lipstream.toml: there is no setting 'prot'; did you mean 'port'\?"),
        (
            "[clip]\nretention_seconds = 1",
            {},
            r"no setting 'clip.retention_seconds'; did you mean 'clips.retention_seconds'\?",
        ),
        ("", {"LIPSTREAM_PROT": "1"}, r"no setting 'LIPSTREAM_PROT'; did you mean 'LIPSTREAM_PORT'\?"),
        ('port = "1"', {}, "lipstream.toml: port: expected a valid integer, got '1'"),
        ("port = true", {}, "port: expected a valid integer, got True"),
        ("clips = 3", {}, "no setting 'clips'"),
        ("data = 3", {}, "data: expected a valid string, got 3"),
        ("max_device_load = nan", {}, "max_device_load: expected a finite number, got nan"),
        (
            "idle_timeout_seconds = -1",
            {},
            "idle_timeout_seconds: expected greater than or equal to 0, got -1",
        ),
        (
            "windows.lengths = [4, 2]",
            {},
            r"toml: windows.lengths: expected window lengths that are positive and rise, got \(4, 2\)",
        ),
        ("", {"LIPSTREAM_OPEN": "perhaps"}, "LIPSTREAM_OPEN: open: expected a valid boolean, got 'perhaps'"),
        ("", {"LIPSTREAM_WINDOWS__LENGTHS": "4,x"}, "windows.lengths: expected a valid integer, got 'x'"),
        (
            "",
            {"LIPSTREAM_PORT": "70000"},
            "LIPSTREAM_PORT: port: expected less than or equal to 65535, got '70000'",
        ),
        ("port = ", {}, "lipstream.toml is not TOML"),
        (
            "",
            {"LIPSTREAM_ACCESS__KEY": "short"},
            "^LIPSTREAM_ACCESS__KEY: access.key: expected 24 to 200 letters[^']*$",
        ),
        (
            "",
            {"LIPSTREAM_ACCESS__ALLOWED_ORIGINS": "example.com"},
            "expected origins such as https://example.com",
        ),
        ("access.key = 12345", {}, "access.key: expected a valid string, got a value that is not shown"),
        (
            'signing.key = "/key.pem"',
            {},
            r"toml: signing: expected a certificate and its key .*, got None and /key.pem",
        ),
        (
            "",
            {"LIPSTREAM_DEVICE": "gpu"},
            "LIPSTREAM_DEVICE: device: expected auto, cpu, cuda or cuda:N, got 'gpu'",
        ),
    ],
)
def test_errors_name_setting_source_expectation_and_value(
    toml: str, variables: dict[str, str], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "lipstream.toml"
    path.write_text(toml)
    with pytest.raises(SettingsError, match=message) as caught:
        load({}, variables, path)
    assert "\n" not in str(caught.value)


def test_a_rule_over_two_values_may_be_kept_by_two_sources(tmp_path: Path) -> None:
    path = tmp_path / "lipstream.toml"
    path.write_text('signing.key = "/key.pem"')
    settings = load({}, {"LIPSTREAM_SIGNING__CERTIFICATE": "/chain.pem"}, path).settings
    assert (settings.signing.key, settings.signing.certificate) == (Path("/key.pem"), Path("/chain.pem"))


def test_copies_with_other_values_are_validated() -> None:
    settings = ServeSettings().replace(port=1, clips=ClipSettings(max_queued=2))
    assert (settings.port, settings.clips.max_queued) == (1, 2)
    with pytest.raises(ValidationError):
        settings.replace(port=70_000)
    with pytest.raises(ValidationError):
        settings.replace(prot=1)


def test_printed_settings_can_be_read_again(file: Path, tmp_path: Path) -> None:
    before = load({"port": 3}, {}, file)
    again = tmp_path / "again.toml"
    again.write_text("\n".join(toml_lines(before, explain=True)))
    assert load(file=again).settings == before.settings


def test_config_prints_every_setting_once_with_its_origin_and_no_secret(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIPSTREAM_ACCESS__KEY", "a-key-that-nobody-must-see")
    assert run(["config", "--config", str(file), "--port", "3", "--watermark"]) == 0
    printed = capsys.readouterr().out
    assert re.findall(r"^(?:# )?([a-z_.]+) = ", printed, re.M) == list(FIELDS)
    assert "port = 3  # --port\n" in printed
    assert "watermark = true  # --watermark\n" in printed
    assert f'device = "cuda:7"  # {file}\n' in printed
    assert "access.key = (secret)  # LIPSTREAM_ACCESS__KEY\n" in printed
    assert "nobody-must-see" not in printed
    monkeypatch.setenv("LIPSTREAM_POTR", "1")
    assert run(["config"]) == 2
    assert "'LIPSTREAM_PORT'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "config"])
def test_every_setting_but_secrets_is_an_option(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with patch.dict(os.environ, {"COLUMNS": "300"}):
        assert run([command, "--help"]) == 0
    printed = capsys.readouterr().out
    for key, field in FIELDS.items():
        assert (re.search(rf"{option(key)}\s", printed) is None) is is_secret(field), key


def test_wrong_options_are_one_line_and_end_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["config", "--port", "x"]) == 2
    assert capsys.readouterr().err == "lipstream: --port: port: expected a valid integer, got 'x'\n"


@given(st.sampled_from(sorted(FIELDS)), st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_any_text_in_the_environment_is_a_value_or_an_error_that_names_it(key: str, text: str) -> None:
    try:
        load({}, {variable(key): text})
    except SettingsError as error:
        assert variable(key) in str(error)  # noqa: PT017  # either is right


def test_no_two_settings_share_a_variable() -> None:
    assert len({variable(key) for key in FIELDS}) == len(FIELDS)
    assert all(variable(key).startswith(PREFIX) for key in FIELDS)
