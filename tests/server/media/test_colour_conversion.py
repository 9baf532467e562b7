"""RGB to 4:2:0: colours survive, whatever was converted before."""

import av
import numpy as np
import pytest

from lipstream_server.media.colour_conversion import RgbToYuvConverter

BARS = np.array([(200, 40, 40), (40, 180, 40), (40, 40, 200), (235, 235, 235), (16, 16, 16)], np.uint8)


def bars(width: int, height: int) -> np.ndarray:
    """Vertical bars, each at least as wide as a block of 4:2:0, in a picture of this size."""
    return np.broadcast_to(BARS[np.arange(width) // 8 % len(BARS)], (height, width, 3)).copy()


def back(frame: av.VideoFrame) -> np.ndarray:
    return frame.reformat(format="rgb24", src_colorspace="ITU709", dst_color_range="JPEG").to_ndarray()


@pytest.mark.parametrize(
    "size", [(64, 64), (72, 48), (90, 50)], ids=str
)  # 90 pixels: rows of the frame are padded
def test_a_picture_keeps_its_colours(size: tuple[int, int]) -> None:
    picture = bars(*size)
    found = back(RgbToYuvConverter(*size).convert(picture))
    inside = np.arange(size[0]) % 8 // 2 % 3 > 0  # away from the edges of the bars, where colours mix
    assert np.abs(found[:, inside].astype(int) - picture[:, inside]).max() <= 4


def test_every_picture_is_converted_as_it_would_be_alone() -> None:
    noise = np.random.default_rng(5).integers(0, 256, (6, 32, 32, 3), np.uint8)
    colours = RgbToYuvConverter(32, 32)
    shown = [noise[0], noise[1], noise[1], noise[2][:, ::-1], noise[0]]
    for picture in shown:
        alone = RgbToYuvConverter(32, 32).convert(picture).to_ndarray()
        assert np.array_equal(colours.convert(picture).to_ndarray(), alone)


def test_a_picture_that_is_held_is_not_converted_again() -> None:
    picture = bars(32, 32)
    colours = RgbToYuvConverter(32, 32)
    assert colours.convert(picture) is colours.convert(picture)


def test_a_frame_that_an_encoder_still_holds_is_not_written_into() -> None:
    colours = RgbToYuvConverter(32, 32)
    first = colours.convert(np.full((32, 32, 3), 200, np.uint8))
    before = first.to_ndarray()
    colours.convert(np.zeros((32, 32, 3), np.uint8))
    assert np.array_equal(first.to_ndarray(), before)


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="reshape"):
        RgbToYuvConverter(32, 32).convert(bars(32, 48))
