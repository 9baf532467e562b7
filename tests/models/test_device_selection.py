"""`--device`: CUDA is chosen where it works, and a wrong name is one line that says what was found."""

import pytest
import torch

from lipstream_client.cli import run
from lipstream_models.device.selection import DeviceError, describe_device, select_device


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "GPU of a test")


@pytest.mark.usefixtures("no_gpu")
def test_auto_is_the_cpu_without_a_gpu() -> None:
    assert select_device() == select_device("auto") == select_device("cpu") == torch.device("cpu")
    assert describe_device(torch.device("cpu")).startswith("cpu (")


@pytest.mark.usefixtures("two_gpus")
def test_auto_is_the_first_gpu() -> None:
    assert select_device("auto") == select_device("cuda") == torch.device("cuda", 0)
    assert select_device("cuda:1") == torch.device("cuda", 1)
    assert select_device("cpu") == torch.device("cpu")
    assert describe_device(torch.device("cuda", 1)) == "cuda:1 (GPU of a test)"
    with pytest.raises(DeviceError, match="'cuda:2' does not exist, only cuda:0 to cuda:1"):
        select_device("cuda:2")


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU", "", "mps"])
def test_unknown_device_names_are_refused(name: str) -> None:
    with pytest.raises(DeviceError, match="expected auto, cpu, cuda or cuda:N"):
        select_device(name)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    ("build", "message"), [(None, "needs a CUDA build of PyTorch, found"), ("12.8", "needs an NVIDIA GPU")]
)
def test_cuda_without_a_build_or_a_gpu_says_what_was_found(
    build: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", build)
    with pytest.raises(DeviceError, match=message):
        select_device("cuda")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize(
    "words",
    [
        ["render", "amara", "no.wav", "-o", "x.mp4"],
        ["evaluate", ".", "--out", "x"],
        ["analyse", "--out", "x"],
        ["tune", "--out", "x.json"],
        ["serve", "--port", "0"],
        ["serve", "--port", "0", "--stub"],
    ],
    ids=lambda words: "-".join(words[:1] + words[3:]),
)
@pytest.mark.parametrize("device", ["cuda", "gpu"])
def test_commands_refuse_a_wrong_device_in_one_line(
    words: list[str], device: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if words[-1] == "--stub" and device == "cuda":
        pytest.skip("a stub has no device")
    monkeypatch.setattr(torch.version, "cuda", None)
    assert run([*words, "--device", device]) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("lipstream: ")]
    assert len(lines) == 1
    assert device in lines[0]
