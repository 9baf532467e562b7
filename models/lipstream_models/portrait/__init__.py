"""Portrait preparation: image file, landmarks, crop and masks, combined in one `Portrait`."""

from .crop import Framing, Square
from .errors import ImageError
from .image_file import ImageLimits, load_portrait
from .landmarks import Face, FaceLandmarker
from .masks import RegionMasks
from .measures import geometry_embedding, lip_opening
from .portrait import Portrait, PortraitSettings, prepare_portrait

__all__ = [
    "Face",
    "FaceLandmarker",
    "Framing",
    "ImageError",
    "ImageLimits",
    "Portrait",
    "PortraitSettings",
    "RegionMasks",
    "Square",
    "geometry_embedding",
    "lip_opening",
    "load_portrait",
    "prepare_portrait",
]
