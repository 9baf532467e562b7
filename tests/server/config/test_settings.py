"""Settings come from four places, every one is described, and what is wrong is named."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream_client.cli import COMMANDS, run
from lipstream_server.commands.config import lines
from lipstream_server.config.effective import (
    PREFIX,
    SettingsError,
    effective,
    variable,
)
from lipstream_server.config.serve_settings import ServeSettings
from lipstream_server.config.setting_tree import leaves

LEAVES = leaves(ServeSettings)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "lipstream.toml"
    path.write_text('port = 1\nhost = "a"\ndevice = "file"\n[clips]\nkeep_seconds = 5\n')
    return path


def test_every_setting_is_described() -> None:
    assert [leaf.key for leaf in LEAVES.values() if not leaf.description] == []


def test_later_sources_win_and_each_value_knows_where_it_comes_from(file: Path) -> None:
    environment = {
        "LIPSTREAM_PORT": "2",
        "LIPSTREAM_HOST": "b",
        "LIPSTREAM_WINDOWS__LENGTHS": "2, 4",
        "HOME": "/",
    }
    found = effective(ServeSettings, {"port": 3, "data": None}, environment, file)
    settings = found.settings
    assert (settings.port, settings.host, settings.device) == (3, "b", "file")
    assert (settings.clips.keep_seconds, settings.windows.lengths) == (5.0, (2, 4))
    assert settings.fragment_frames == ServeSettings().fragment_frames
    assert {key: each.origin for key, each in found.given.items()} == {
        "port": "--port",
        "host": "LIPSTREAM_HOST",
        "device": str(file),
        "clips.keep_seconds": str(file),
        "windows.lengths": "LIPSTREAM_WINDOWS__LENGTHS",
    }


def test_the_environment_may_name_the_file_and_set_nothing(file: Path) -> None:
    environment = {"LIPSTREAM_CONFIG": str(file), "LIPSTREAM_KEY": "of the client", "LIPSTREAM_SESSIONS": ""}
    assert (
        effective(ServeSettings, {}, environment).settings == effective(ServeSettings, {}, {}, file).settings
    )


@pytest.mark.parametrize(
    ("toml", "environment", "said"),
    [
        ("prot = 1", {}, r"lipstream.toml: there is no setting 'prot'; the nearest one is 'port'"),
        (
            "[clip]\nkeep_seconds = 1",
            {},
            r"no setting 'clip.keep_seconds'; the nearest one is 'clips.keep_seconds'",
        ),
        ("", {"LIPSTREAM_PROT": "1"}, "no setting 'LIPSTREAM_PROT'; the nearest one is 'LIPSTREAM_PORT'"),
        ('port = "1"', {}, "lipstream.toml: port takes a whole number, got '1'"),
        ("port = true", {}, "port takes a whole number, got True"),
        ("clips = 3", {}, "no setting 'clips'"),
        ("data = 3", {}, "data takes a path, got 3"),
        ("load = nan", {}, "load takes a number, got nan"),
        ("idle_seconds = -1", {}, "idle_seconds takes a number, got -1"),
        (
            "windows.lengths = [4, 2]",
            {},
            r"window lengths must be positive and rise, got \(4, 2\) \(set by .*toml\)",
        ),
        ("", {"LIPSTREAM_OPEN": "perhaps"}, "LIPSTREAM_OPEN: open takes true or false, got 'perhaps'"),
        ("", {"LIPSTREAM_WINDOWS__LENGTHS": "4,x"}, r"takes a list \(numbers\), got '4,x'"),
        (
            "",
            {"LIPSTREAM_PORT": "70000"},
            r"a port is a number up to 65535, got 70000 \(set by LIPSTREAM_PORT\)",
        ),
        ("port = ", {}, "lipstream.toml is no TOML"),
        (
            "",
            {"LIPSTREAM_ACCESS__KEY": "short"},
            r"access.key takes 24 to 200 letters.*\(set by LIPSTREAM_ACCESS__KEY\)",
        ),
        ("", {"LIPSTREAM_ACCESS__ORIGINS": "example.com"}, "an origin is such as https://example.com"),
        ("access.key = 12345", {}, "access.key takes a text, got a value that is not shown"),
    ],
)
def test_what_is_wrong_is_named(toml: str, environment: dict[str, str], said: str, tmp_path: Path) -> None:
    path = tmp_path / "lipstream.toml"
    path.write_text(toml)
    with pytest.raises(SettingsError, match=said):
        effective(ServeSettings, {}, environment, path)


def test_what_config_prints_can_be_read_again(file: Path, tmp_path: Path) -> None:
    before = effective(ServeSettings, {"port": 3}, {}, file)
    again = tmp_path / "again.toml"
    again.write_text("\n".join(lines(before, explain=True)))
    assert effective(ServeSettings, {}, {}, again).settings == before.settings


def test_config_prints_every_setting_once_with_its_origin_and_no_secret(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIPSTREAM_ACCESS__KEY", "a-key-that-nobody-must-see")
    assert run(["config", "--config", str(file), "--port", "3"], COMMANDS) == 0
    printed = capsys.readouterr().out
    assert re.findall(r"^(?:# )?([a-z_.]+) = ", printed, re.M) == list(LEAVES)
    assert "port = 3  # --port\n" in printed
    assert f'device = "file"  # {file}\n' in printed
    assert "access.key = (secret)  # LIPSTREAM_ACCESS__KEY\n" in printed
    assert "nobody-must-see" not in printed
    monkeypatch.setenv("LIPSTREAM_POTR", "1")
    assert run(["config"], COMMANDS) == 2
    assert "'LIPSTREAM_PORT'" in capsys.readouterr().err


@given(st.sampled_from(sorted(LEAVES)), st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_any_text_in_the_environment_is_a_value_or_a_refusal_that_names_it(key: str, text: str) -> None:
    try:
        effective(ServeSettings, {}, {variable(key): text})
    except SettingsError as error:
        assert variable(key) in str(error)  # noqa: PT017  # either is right


def test_no_two_settings_share_a_variable() -> None:
    assert len({variable(key) for key in LEAVES}) == len(LEAVES)
    assert all(variable(key).startswith(PREFIX) for key in LEAVES)
