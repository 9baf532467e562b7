"""Tests of the image check, as far as they need no Docker or Podman."""

import tarfile

import pytest

from lipstream_bench.image import __main__ as command
from lipstream_bench.image.builder import find_builder
from lipstream_bench.image.contents import inspect_contents


def entry(
    name: str, uid: int = 0, mode: int = 0o644, size: int = 0, kind: bytes = tarfile.REGTYPE
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.uid, info.mode, info.size, info.type = uid, mode, size, kind
    return info


SITE = "opt/lipstream/lib/python3.11/site-packages"


def test_contents_count_sizes_and_packages() -> None:
    contents = inspect_contents(
        [
            entry(f"./{SITE}/numpy-2.0.dist-info", kind=tarfile.DIRTYPE),
            entry(f"{SITE}/numpy/core.so", size=3_000_000),
            entry("proc/kcore", uid=10001, size=10**12),
            entry("data", uid=10001, mode=0o700, kind=tarfile.DIRTYPE),
            entry("tmp", mode=0o1777, kind=tarfile.DIRTYPE),
        ],
        10001,
    )
    assert (contents.megabytes, contents.packages, contents.faults) == (3.0, ("numpy-2.0",), ())


@pytest.mark.parametrize(
    ("file", "fault"),
    [
        (entry("etc/passwd", uid=10001), "etc/passwd can be written by the server"),
        (entry("srv/x", mode=0o666), "srv/x can be written by the server"),
        (entry("usr/bin/gcc"), "usr/bin/gcc is a development tool"),
        (entry(f"{SITE}/pip", kind=tarfile.DIRTYPE), f"{SITE}/pip is only for building"),
        (entry("source", kind=tarfile.DIRTYPE), "source was left behind by the build"),
        (entry("root/x.whl"), "root/x.whl was left behind by the build"),
    ],
)
def test_contents_report_files_that_should_not_be_there(file: tarfile.TarInfo, fault: str) -> None:
    assert inspect_contents([file], 10001).faults == (fault,)


def test_image_check_without_a_builder_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert find_builder(["no-such-program"]) is None
    monkeypatch.setattr(command, "find_builder", lambda: None)
    monkeypatch.setattr("sys.argv", ["image"])
    assert command.main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "apt install podman" in line
