"""Encoded clips: one file each, and all of a folder as stacked tensors on the device that trains."""

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
"""How much a flow channel's error counts beside the mean latent channel's."""


@dataclass(frozen=True)
class LatentClip:
    """One clip of T frames, encoded.

    latents: (T, C, h, w) float16; samples: (R, T, C + K, h, w) float16, what is diffused for each portrait: how far the latents are
    from those of the portrait moved by the flow, and the flow's K channels; features: (T, blocks, channels) float16;
    reference_frames: (R,) indices of frames that serve as portraits; embeddings: (R, 512) float16;
    face_regions: (R, S, S) uint8 in {0, 255}, S the side of the picture; masks: per level (R, 3, tokens) float16 (full, face, lip);
    mouth: (T, h, w) float16, share of a latent token inside the mouth box; face: the same for the face box.
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
    """N clips of one length as stacked tensors, each field as in `LatentClip` with N in front.

    A clip with fewer portraits than others has some of them twice. mouth_middles: (N, T, 2), token row and column of the middle of
    the mouth; it stays on the host, where windows are chosen.
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
    mouth_middles: NDArray[np.float64]

    @classmethod
    def stacked(cls, clips: Sequence[LatentClip], device: torch.device | str = "cpu") -> LatentClips:
        """Takes one clip after the other, so that a sequence that loads them holds no more than one of them besides the stack.

        Raises ValueError when there is no clip, or when their lengths differ.
        """
        stacks: dict[str, Tensor] = {}
        middles = []
        for number, clip in enumerate(clips):
            middles.append(_middles(clip.mouth))
            for name, array in _arrays(clip).items():
                if number == 0:
                    shape = (len(clips), *array.shape)
                    stacks[name] = torch.empty(shape, dtype=torch.from_numpy(array).dtype, device=device)
                if array.shape != stacks[name].shape[1:]:
                    raise ValueError(
                        f"expected clips of one length, got {name} of {array.shape} beside {tuple(stacks[name].shape[1:])}"
                    )
                stacks[name][number] = torch.from_numpy(array)
        if not middles:
            raise ValueError("expected clips, got none")
        masks = tuple(stacks.pop(name) for name in sorted(stacks) if name.startswith("mask_"))
        return cls(**stacks, masks=masks, mouth_middles=np.stack(middles))

    @property
    def count(self) -> int:
        return len(self.latents)

    @property
    def frames(self) -> int:
        return self.latents.shape[1]

    @property
    def side(self) -> int:
        """Latent tokens a side."""
        return self.latents.shape[-1]


def _middles(mouth: NDArray[np.float16]) -> NDArray[np.float64]:
    """(T, h, w) -> (T, 2): where the mouth's tokens are on average; the middle of the picture where there are none."""
    inside = mouth > 0
    places = np.moveaxis(np.mgrid[0 : mouth.shape[1], 0 : mouth.shape[2]], 0, -1)  # (h, w, 2)
    counts = inside.sum(axis=(1, 2))[:, None]
    sums = np.einsum("thw,hwc->tc", inside.astype(np.float64), places.astype(np.float64))
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.array(mouth.shape[1:]) / 2)


OF_PORTRAITS = ("samples", "reference_frames", "embeddings", "face_regions")


def _arrays(clip: LatentClip) -> dict[str, NDArray[Any]]:
    """A clip's arrays by name, with ``REFERENCES`` portraits whatever it has."""
    arrays = _named(clip)
    for name, array in arrays.items():
        if name in OF_PORTRAITS or name.startswith("mask_"):
            arrays[name] = np.resize(array, (REFERENCES, *array.shape[1:]))
    return arrays


def _named(clip: LatentClip) -> dict[str, NDArray[Any]]:
    arrays = {name: getattr(clip, name) for name in LatentClip.__dataclass_fields__ if name != "masks"}
    return arrays | {f"mask_{level}": mask for level, mask in enumerate(clip.masks)}


def save_latent_clip(path: Path, clip: LatentClip) -> None:
    part = path.with_name(f"part-{path.name}")
    arrays: dict[str, Any] = _named(clip)
    np.savez(part, **arrays)
    part.rename(path)


@dataclass(frozen=True)
class LatentFiles(Sequence[LatentClip]):
    """The encoded clips of a folder, each loaded when it is asked for."""

    paths: list[Path]

    @classmethod
    def of(cls, root: Path) -> LatentFiles:
        return cls([path for path in sorted(root.glob("*.npz")) if not path.name.startswith("part-")])

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: int) -> LatentClip:  # type: ignore[override]
        return _load(self.paths[number])


def _load(path: Path) -> LatentClip:
    with np.load(path) as arrays:
        names = [name for name in LatentClip.__dataclass_fields__ if name != "masks"]
        levels = sorted(name for name in arrays.files if name.startswith("mask_"))
        return LatentClip(
            **{name: arrays[name] for name in names}, masks=tuple(arrays[level] for level in levels)
        )


def spread_of(clips: LatentClips) -> float:
    """Root mean square distance of a frame's latents from the portrait's, inside the face: the unit of what is diffused."""
    squares, weights, channels = 0.0, 0.0, clips.latents.shape[2]
    for samples, face in zip(clips.samples, clips.face, strict=True):
        inside = face.float()[:, None]
        for sample in samples:
            distance = sample[:, :channels].float().square().mean(dim=1, keepdim=True)
            squares, weights = squares + float((distance * inside).sum()), weights + float(inside.sum())
    return float(np.sqrt(squares / weights))


def channel_weights_of(clips: LatentClips) -> Tensor:
    """(C, 1, 1, 1): how much a channel counts, one on average: the root of what its error is worth in pixels.

    A latent channel of variance v is a component of pixels of variance v^2 (`set_components`), so its squared error is worth v
    times as much in pixels. Counted alike, the many weak channels, which hold texture that nothing predicts, would be most of
    the loss.
    """
    middles = clips.latents[:, clips.frames // 2].float()
    weights = middles.std(dim=(0, 2, 3), correction=0)
    flow = torch.full((clips.samples.shape[3] - len(weights),), FLOW_WEIGHT, device=weights.device)
    return torch.cat([weights / weights.mean(), flow])[:, None, None, None]
