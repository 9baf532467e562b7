"""RgbToYuvConverter keeps colours, whatever was converted before."""

import av
import numpy as np
import pytest

from lipstream_server.media.colour_conversion import RgbToYuvConverter

BARS = np.array([(200, 40, 40), (40, 180, 40), (40, 40, 200), (235, 235, 235), (16, 16, 16)], np.uint8)


def bars(width: int, height: int) -> np.ndarray:
    """Return a frame (H, W, 3) of vertical bars, each at least as wide as a block of 4:2:0."""
    return np.broadcast_to(BARS[np.arange(width) // 8 % len(BARS)], (height, width, 3)).copy()


def to_rgb(frame: av.VideoFrame) -> np.ndarray:
    return frame.reformat(format="rgb24", src_colorspace="ITU709", dst_color_range="JPEG").to_ndarray()


@pytest.mark.parametrize(
    "size", [(64, 64), (72, 48), (90, 50)], ids=str
)  # 90 pixels: rows of the frame are padded
def test_conversion_keeps_colours(size: tuple[int, int]) -> None:
    frame = bars(*size)
    converted = to_rgb(RgbToYuvConverter(*size).convert(frame))
    inside = np.arange(size[0]) % 8 // 2 % 3 > 0  # away from the edges of the bars, where colours mix
    assert np.abs(converted[:, inside].astype(int) - frame[:, inside]).max() <= 4


def test_conversion_does_not_depend_on_earlier_frames() -> None:
    noise = np.random.default_rng(5).integers(0, 256, (6, 32, 32, 3), np.uint8)
    converter = RgbToYuvConverter(32, 32)
    shown = [noise[0], noise[1], noise[1], noise[2][:, ::-1], noise[0]]
    for frame in shown:
        alone = RgbToYuvConverter(32, 32).convert(frame).to_ndarray()
        assert np.array_equal(converter.convert(frame).to_ndarray(), alone)


def test_repeated_frame_is_not_converted_again() -> None:
    frame = bars(32, 32)
    converter = RgbToYuvConverter(32, 32)
    assert converter.convert(frame) is converter.convert(frame)


def test_converted_frame_is_not_overwritten_by_the_next_one() -> None:
    converter = RgbToYuvConverter(32, 32)
    first = converter.convert(np.full((32, 32, 3), 200, np.uint8))
    before = first.to_ndarray()
    converter.convert(np.zeros((32, 32, 3), np.uint8))
    assert np.array_equal(first.to_ndarray(), before)


def test_frame_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="reshape"):
        RgbToYuvConverter(32, 32).convert(bars(32, 48))
