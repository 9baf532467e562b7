"""The five networks, under the names in Hallo's `net.pth`."""

from torch import nn

from ..config import NetworkConfig
from .denoiser import Denoiser
from .face_locator import FaceLocator
from .projections import AudioProjection, IdentityProjection
from .reference_net import ReferenceNet


class Network(nn.Module):
    """Reference network, denoiser, face locator, identity and audio projections.

    Build it under ``torch.device("meta")`` to load weights without a copy.
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.reference_unet = ReferenceNet(config)
        self.denoising_unet = Denoiser(config)
        self.face_locator = FaceLocator(config.face_locator_channels, config.block_out_channels[0])
        self.imageproj = IdentityProjection(config.identity_projection, config.cross_attention_dim)
        self.audioproj = AudioProjection(config.audio_projection)
