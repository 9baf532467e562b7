"""Audio in: decoding, and what the networks hear of it."""

from .decode import AudioError, AudioLimits, iter_audio, read_audio
from .features import FeatureConfig, WhisperFeatures, context_windows
from .windows import windowed

__all__ = [
    "AudioError",
    "AudioLimits",
    "FeatureConfig",
    "WhisperFeatures",
    "context_windows",
    "iter_audio",
    "read_audio",
    "windowed",
]
