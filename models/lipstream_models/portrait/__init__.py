"""Portrait in: image file, landmarks, crop, masks, and all of it as one value."""

from .crop import Framing, Square
from .errors import PictureError
from .image_file import ImageLimits, load_portrait
from .landmarks import Face, FaceLandmarker
from .masks import RegionMasks
from .measures import geometry_embedding, lip_opening
from .portrait import Portrait, PortraitSettings, prepare_portrait

__all__ = [
    "Face",
    "FaceLandmarker",
    "Framing",
    "ImageLimits",
    "PictureError",
    "Portrait",
    "PortraitSettings",
    "RegionMasks",
    "Square",
    "geometry_embedding",
    "lip_opening",
    "load_portrait",
    "prepare_portrait",
]
