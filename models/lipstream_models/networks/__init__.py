"""Networks of the Hallo family. State-dict names are Hallo's. Images are (rows*frames, C, h, w), channels last."""

from .blocks import AttentionOutputs
from .denoiser import Denoiser, KeyStep
from .denoiser_layers import ConditionsError, EncoderFeatures
from .network import Network
from .reference_net import ReferenceNet

__all__ = [
    "AttentionOutputs",
    "ConditionsError",
    "Denoiser",
    "EncoderFeatures",
    "KeyStep",
    "Network",
    "ReferenceNet",
]
