"""Hallo's networks: state-dict names are Hallo's, the code is ours. Images are (rows*frames, C, h, w), channels last."""

from .denoiser import Denoiser, EncoderFeatures, KeyStep
from .network import Network
from .reference_net import ReferenceNet

__all__ = ["Denoiser", "EncoderFeatures", "KeyStep", "Network", "ReferenceNet"]
