"""Audio in: decoding, and what the networks hear of it."""

from .decode import (
    AudioError,
    AudioLimits,
    iter_audio,
    read_audio,
)
from .encoder import AudioEncoder, AudioStream, LiveEncoder
from .features import FeatureConfig, WhisperFeatures, context_windows
from .wav2vec import (
    LiveConfig,
    LiveWav2VecFeatures,
    Wav2VecError,
    Wav2VecFeatures,
)
from .windows import windowed

__all__ = [
    "AudioEncoder",
    "AudioError",
    "AudioLimits",
    "AudioStream",
    "FeatureConfig",
    "LiveConfig",
    "LiveEncoder",
    "LiveWav2VecFeatures",
    "Wav2VecError",
    "Wav2VecFeatures",
    "WhisperFeatures",
    "context_windows",
    "iter_audio",
    "read_audio",
    "windowed",
]
