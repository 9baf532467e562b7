"""Encoded clips: one file per clip, and all clips of a folder as stacked tensors on the device that trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .dataset import REFERENCES

FLOW_WEIGHT = 8.0
"""Weight of a flow channel's error; latent channels have a weight of 1 on average."""
PER_REFERENCE = ("samples", "reference_frames", "embeddings", "face_regions")
"""Arrays whose first dimension is the references; the masks are others."""


@dataclass(frozen=True)
class LatentClip:
    """An encoded clip of T frames with R references.

    Attributes:
        latents: (T, C, h, w) latents of the frames.
        samples: (R, T, C + K, h, w) what the diffusion model predicts for each reference: the residual latents
            (those of the frame minus those of the warped reference) and the K flow channels.
        features: (T, blocks, channels) audio features.
        reference_frames: (R,) indices of the reference frames.
        embeddings: (R, 512) face embeddings.
        face_regions: (R, S, S) in {0, 255}, for references of S x S pixels.
        masks: (R, 3, tokens) for each level: the full, face and lip masks.
        mouth: (T, h, w) share of each token that is inside the mouth box.
        face: (T, h, w) share of each token that is inside the face box.
    """

    latents: NDArray[np.float16]
    samples: NDArray[np.float16]
    features: NDArray[np.float16]
    reference_frames: NDArray[np.int64]
    embeddings: NDArray[np.float16]
    face_regions: NDArray[np.uint8]
    masks: tuple[NDArray[np.float16], ...]
    mouth: NDArray[np.float16]
    face: NDArray[np.float16]


@dataclass(frozen=True)
class LatentClips:
    """N encoded clips of one length as stacked tensors, each as in `LatentClip` with a first dimension of N.

    A clip with fewer references than others has some of them twice.

    Attributes:
        mouth_centres: (N, T, 2) row and column, in tokens, of the centre of the mouth; on the host, where windows
            are chosen.
    """

    latents: Tensor
    samples: Tensor
    features: Tensor
    reference_frames: Tensor
    embeddings: Tensor
    face_regions: Tensor
    masks: tuple[Tensor, ...]
    mouth: Tensor
    face: Tensor
    mouth_centres: NDArray[np.float64]

    @classmethod
    def stacked(cls, clips: Sequence[LatentClip], device: torch.device | str = "cpu") -> LatentClips:
        """Return the stack of some clips on a device.

        Clips are read one after the other, so that a sequence that loads them has one in memory besides the stack.

        Raises:
            ValueError: There is no clip, or their lengths differ.
        """
        stacks: dict[str, Tensor] = {}
        centres = []
        for number, clip in enumerate(clips):
            centres.append(_mouth_centres(clip.mouth))
            for name, array in _equal_references(clip).items():
                if number == 0:
                    shape = (len(clips), *array.shape)
                    stacks[name] = torch.empty(shape, dtype=torch.from_numpy(array).dtype, device=device)
                expected = tuple(stacks[name].shape[1:])
                if array.shape != expected:
                    raise ValueError(
                        f"expected clips of one length, got {name} of {array.shape} beside {expected}"
                    )
                stacks[name][number] = torch.from_numpy(array)
        if not centres:
            raise ValueError("expected encoded clips, got none: run `lipstream_training.stages.encode_clips`")
        masks = tuple(stacks.pop(name) for name in sorted(stacks) if name.startswith("mask_"))
        return cls(**stacks, masks=masks, mouth_centres=np.stack(centres))

    @property
    def count(self) -> int:
        """Number of clips."""
        return len(self.latents)

    @property
    def frames(self) -> int:
        """Frames of a clip."""
        return self.latents.shape[1]

    @property
    def side(self) -> int:
        """Latent tokens per side."""
        return self.latents.shape[-1]


def _mouth_centres(mouth: NDArray[np.float16]) -> NDArray[np.float64]:
    """Return the mean position (T, 2) of the mouth's tokens (T, h, w); the centre of the frame if there are none."""
    inside = mouth > 0
    positions = np.moveaxis(np.mgrid[0 : mouth.shape[1], 0 : mouth.shape[2]], 0, -1)  # (h, w, 2)
    counts = inside.sum(axis=(1, 2))[:, None]
    sums = np.einsum("thw,hwc->tc", inside.astype(np.float64), positions.astype(np.float64))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.array(mouth.shape[1:]) / 2)


def _equal_references(clip: LatentClip) -> dict[str, NDArray[Any]]:
    """Return a clip's arrays by name, with its references repeated until there are `REFERENCES`."""
    arrays = _named_arrays(clip)
    for name, array in arrays.items():
        if name in PER_REFERENCE or name.startswith("mask_"):
            arrays[name] = np.resize(array, (REFERENCES, *array.shape[1:]))
    return arrays


def _named_arrays(clip: LatentClip) -> dict[str, NDArray[Any]]:
    arrays = {name: getattr(clip, name) for name in LatentClip.__dataclass_fields__ if name != "masks"}
    return arrays | {f"mask_{level}": mask for level, mask in enumerate(clip.masks)}


def save_latent_clip(path: Path, clip: LatentClip) -> None:
    """Write an encoded clip atomically."""
    part = path.with_name(f"part-{path.name}")
    arrays: dict[str, Any] = _named_arrays(clip)
    np.savez(part, **arrays)
    part.rename(path)


@dataclass(frozen=True)
class LatentFiles(Sequence[LatentClip]):
    """The encoded clips of a folder, each loaded when it is accessed."""

    paths: list[Path]

    @classmethod
    def in_folder(cls, root: Path) -> LatentFiles:
        """Return the clips of a folder, sorted by name."""
        return cls([path for path in sorted(root.glob("*.npz")) if not path.name.startswith("part-")])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> LatentClip:  # type: ignore[override]
        return _load_latent_clip(self.paths[number])


def _load_latent_clip(path: Path) -> LatentClip:
    with np.load(path) as arrays:
        names = [name for name in LatentClip.__dataclass_fields__ if name != "masks"]
        levels = sorted(name for name in arrays.files if name.startswith("mask_"))
        return LatentClip(
            **{name: arrays[name] for name in names}, masks=tuple(arrays[level] for level in levels)
        )


def residual_scale_of(clips: LatentClips) -> float:
    """Return the root mean square of the residual latents inside faces: the unit of the diffused samples."""
    squares, weights, channels = 0.0, 0.0, clips.latents.shape[2]
    for samples, face in zip(clips.samples, clips.face, strict=True):
        inside = face.float()[:, None]
        for sample in samples:
            residual = sample[:, :channels].float().square().mean(dim=1, keepdim=True)
            squares, weights = squares + float((residual * inside).sum()), weights + float(inside.sum())
    return float(np.sqrt(squares / weights))


def channel_weights(clips: LatentClips) -> Tensor:
    """Return the weight (C + K, 1, 1, 1) of each channel's error; latent channels have a weight of 1 on average.

    A latent channel of variance v is a component of pixels of variance v^2 (`fit_components`), so its squared error
    is worth v times as much in pixels; its weight is the root of that. With equal weights the many weak channels,
    which encode texture that nothing predicts, would be most of the loss.
    """
    latents = clips.latents[:, clips.frames // 2].float()
    weights = latents.std(dim=(0, 2, 3), correction=0)
    flow = torch.full((clips.samples.shape[3] - len(weights),), FLOW_WEIGHT, device=weights.device)
    return torch.cat([weights / weights.mean(), flow])[:, None, None, None]
