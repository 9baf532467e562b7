"""Preparation of a portrait: image, landmarks, masks and embedding as one value."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from .crop import (
    Crop,
    Framing,
    Square,
    choose_face,
    crop_head,
    face_roll,
)
from .image_file import ImageLimits, ImageSource, load_portrait
from .landmarks import Face, FaceLandmarker
from .masks import (
    RegionMasks,
    SoftMasks,
    Tokens,
    face_region,
    foreground_tokens,
    mask_pyramid,
    soft_masks,
)
from .measures import geometry_embedding
from .region import Floats, Pixels


@dataclass(frozen=True)
class PortraitSettings:
    """A model's requirements of a portrait.

    Attributes:
        size: Side of the prepared image in pixels.
        levels: Sides of the latents at the UNet's depths; 64, 32, 16, 8 for Hallo.
        framing: Position of the head; None squeezes the whole image to a square, as Hallo does.
        limits: Limits of the image file.
    """

    size: int = 256
    levels: tuple[int, ...] = (16, 8, 4)
    framing: Framing | None = field(default_factory=Framing)
    limits: ImageLimits = field(default_factory=ImageLimits)

    @classmethod
    def hallo(cls) -> PortraitSettings:
        """Return Hallo's settings with automatic framing (Hallo asks the user for a face of 50 to 70 %)."""
        return cls(512, (64, 32, 16, 8))


@dataclass(frozen=True, eq=False)
class Portrait:
    """A prepared portrait; its arrays are read-only.

    Attributes:
        image: (size, size, 3) uint8 RGB.
        landmarks: (478, 3) float32 in pixels of `image`.
        masks: Full, face and lip masks for each latent level, (1, h*w) float32 0..1.
        face_region: (size, size, 3) uint8, 0 or 255.
        foreground: (h*w,) bool, the face tokens of the first level.
        embedding: (512,) float32, the geometry of the face.
        square: Position of the crop in the upright image; None if the whole image was squeezed.
        notes: Remarks for the user.
    """

    image: Pixels
    landmarks: Floats
    masks: tuple[RegionMasks, ...]
    face_region: Pixels
    foreground: Tokens
    embedding: Floats
    square: Square | None
    notes: tuple[str, ...]


def prepare_portrait(
    source: ImageSource | Pixels,
    landmarker: FaceLandmarker,
    settings: PortraitSettings | None = None,
    user_square: Square | None = None,
) -> Portrait:
    """Load an image, find its face, and crop and mask it.

    Args:
        source: A file, bytes, a stream, or (H, W, 3) uint8 pixels.
        landmarker: Finds the face.
        settings: The model's requirements.
        user_square: Replaces the automatic framing; in pixels of the upright image.

    Raises:
        ImageError: The image cannot be used; each reason has its own subclass.
    """
    settings = settings or PortraitSettings()
    image = source if isinstance(source, np.ndarray) else load_portrait(source, settings.limits)
    faces = landmarker.detect(image)
    rotation_notes: tuple[str, ...] = ()
    if user_square is None:
        image, faces, rotation_notes = _upright(image, faces, landmarker)
    if settings.framing is None and user_square is None:
        return _squeezed(image, faces, settings, rotation_notes)
    crop = crop_head(image, faces, settings.size, settings.framing, user_square)
    return _from_crop(crop, settings, rotation_notes)


def _upright(
    image: Pixels, faces: list[Face], landmarker: FaceLandmarker
) -> tuple[Pixels, list[Face], tuple[str, ...]]:
    """Rotate an image that lies on its side (its EXIF tag is lost) by a quarter, and detect again."""
    quarters = round(face_roll(faces[0].landmarks) / 90) if faces else 0
    if abs(quarters) != 1:
        return image, faces, ()
    rotated = np.ascontiguousarray(np.rot90(image, quarters))
    rotated_faces = landmarker.detect(rotated)
    if not rotated_faces:
        return image, faces, ()
    return rotated, rotated_faces, ("the image lay on its side and was rotated upright",)


def _from_crop(crop: Crop, settings: PortraitSettings, rotation_notes: tuple[str, ...]) -> Portrait:
    size = settings.size
    masks = soft_masks(crop.landmarks, size, size)
    region = face_region(crop.landmarks, size, size, size)
    return _assemble(
        crop.image, crop.landmarks, masks, region, settings, crop.square, rotation_notes + crop.notes
    )


def _squeezed(
    image: Pixels, faces: list[Face], settings: PortraitSettings, rotation_notes: tuple[str, ...]
) -> Portrait:
    """Prepare as Hallo does: masks drawn at the image's own size, and everything resized to the square."""
    face, notes = choose_face(faces, Framing())
    height, width = image.shape[:2]
    size = settings.size
    resized = np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
    scale = np.array([size / width, size / height, size / width], np.float32)
    half = np.array([0.5, 0.5, 0.0], np.float32)
    landmarks = ((face.landmarks + half) * scale - half).astype(np.float32)
    masks = soft_masks(face.landmarks, height, width)
    region = face_region(face.landmarks, height, width, size)
    return _assemble(resized, landmarks, masks, region, settings, None, rotation_notes + notes)


def _assemble(
    image: Pixels,
    landmarks: Floats,
    masks: SoftMasks,
    region: Pixels,
    settings: PortraitSettings,
    square: Square | None,
    notes: tuple[str, ...],
) -> Portrait:
    portrait = Portrait(
        image=image,
        landmarks=landmarks,
        masks=mask_pyramid(masks, settings.levels),
        face_region=region,
        foreground=foreground_tokens(landmarks, settings.size, settings.levels[0]),
        embedding=geometry_embedding(landmarks),
        square=square,
        notes=notes,
    )
    for array in (
        portrait.image,
        portrait.landmarks,
        portrait.face_region,
        portrait.foreground,
        portrait.embedding,
    ):
        array.flags.writeable = False
    for level in portrait.masks:
        for mask in (level.full, level.face, level.lip):
            mask.flags.writeable = False
    return portrait
