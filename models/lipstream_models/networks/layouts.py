"""Changes of layout between images, tokens and rows. None copies channels-last data."""

import torch
from torch import Tensor


def to_tokens(x: Tensor) -> Tensor:
    """(images, C, h, w) -> (images, h*w, C); a view for channels-last images."""
    return x.permute(0, 2, 3, 1).flatten(1, 2)


def to_images(tokens: Tensor, height: int, width: int) -> Tensor:
    """(images, h*w, C) -> (images, C, h, w), channels last."""
    return torch.unflatten(tokens, 1, (height, width)).permute(0, 3, 1, 2)


def expand_rows(x: Tensor, rows: int) -> Tensor:
    """(r, ...) -> (r, rows/r, ...): each row repeated rows/r times, as a view."""
    return x[:, None].expand(-1, rows // x.shape[0], *x.shape[1:])
