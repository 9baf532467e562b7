"""Widths that Hallo's configuration files do not state, inferred from the shapes of its weights."""

from collections.abc import Mapping

from ..config import AudioProjectionConfig, IdentityProjectionConfig, NetworkConfig

Shapes = Mapping[str, tuple[int, ...]]


def face_locator_channels(shapes: Shapes) -> tuple[int, ...]:
    """Return the widths of the face locator: first convolution, then every second block (the strided ones)."""
    first = shapes.get("face_locator.conv_in.weight")
    if first is None:
        return NetworkConfig().face_locator_channels
    strided: list[int] = []
    while (shape := shapes.get(f"face_locator.blocks.{2 * len(strided) + 1}.weight")) is not None:
        strided.append(shape[0])
    return (first[0], *strided)


def max_positions(shapes: Shapes) -> int:
    """Return the length of the position table in the motion modules."""
    tables = (shape[1] for key, shape in shapes.items() if key.endswith("pos_encoder.pe") and len(shape) == 3)
    return next(tables, NetworkConfig().max_positions)


def identity_projection(shapes: Shapes, cross_attention_dim: int) -> IdentityProjectionConfig:
    """Return the shape of the identity projection; Hallo's own if the weights do not tell."""
    shape = shapes.get("imageproj.proj.weight")
    if shape is None or len(shape) != 2 or shape[0] % cross_attention_dim or not shape[0]:
        return IdentityProjectionConfig()
    return IdentityProjectionConfig(embedding_dim=shape[1], tokens=shape[0] // cross_attention_dim)


def audio_projection(shapes: Shapes, blocks: int, channels: int) -> AudioProjectionConfig:
    """Return the shape of the audio projection; Hallo's own values where the weights do not tell.

    ``blocks`` and ``channels``: layers and width of the audio encoder.
    """
    defaults = AudioProjectionConfig()
    norm = shapes.get("audioproj.norm.weight", (defaults.output_dim,))
    first = shapes.get("audioproj.proj1.weight", ())
    last = shapes.get("audioproj.proj3.weight", ())
    if len(first) != 2 or len(last) != 2 or not norm or not norm[0]:
        return AudioProjectionConfig(blocks=blocks, channels=channels)
    frame = blocks * channels
    return AudioProjectionConfig(
        seq_len=defaults.seq_len if first[1] % frame or not first[1] else first[1] // frame,
        blocks=blocks,
        channels=channels,
        intermediate_dim=first[0],
        output_dim=norm[0],
        context_tokens=defaults.context_tokens if last[0] % norm[0] or not last[0] else last[0] // norm[0],
    )
