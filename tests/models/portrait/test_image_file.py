"""Tests of image decoding: every accepted file becomes upright RGB, everything else is refused by name."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from portraits import astronaut, encoded, pixels

from lipstream_models.errors import LipstreamError
from lipstream_models.portrait.errors import (
    ImageColourError,
    ImageDamagedError,
    ImageEmptyError,
    ImageError,
    ImageMissingError,
    ImageTooLargeError,
    NotAnImageError,
)
from lipstream_models.portrait.image_file import ImageLimits, load_portrait

ORIENTATION = 0x0112


def difference(loaded: np.ndarray, expected: Image.Image) -> float:
    return float(np.abs(loaded.astype(int) - pixels(expected).astype(int)).mean())


def grey16() -> np.ndarray:
    return np.asarray(astronaut().convert("L")).astype(np.uint16) * 257


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "MPO"])
def test_accepted_formats_decode_to_the_image(kind: str) -> None:
    assert difference(load_portrait(encoded(astronaut(), kind)), astronaut()) < 4


def test_path_stream_and_bytes_give_the_same_pixels(tmp_path: Path) -> None:
    data = encoded(astronaut(), "PNG")
    path = tmp_path / "a name without extension"
    path.write_bytes(data)
    for source in (path, str(path), data, bytearray(data), io.BytesIO(data)):
        loaded = load_portrait(source)
        assert loaded.dtype == np.uint8
        assert difference(loaded, astronaut()) == 0


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "PNG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("CMYK", "TIFF"), ("1", "PNG"), ("P", "PNG")],
)
def test_colour_modes_are_converted_to_rgb(mode: str, kind: str) -> None:
    image = astronaut().convert(mode)
    assert difference(load_portrait(encoded(image, kind)), image.convert("RGB")) < 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_values_are_scaled_not_truncated(kind: str) -> None:
    loaded = load_portrait(encoded(Image.fromarray(grey16()), kind))
    assert difference(loaded, astronaut().convert("L")) == 0


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_without_a_known_white_level_are_refused(dtype: type) -> None:
    with pytest.raises(ImageColourError, match="8 or 16 bits"):
        load_portrait(encoded(Image.fromarray(grey16().astype(dtype)), "TIFF"))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_show_the_backdrop(mode: str) -> None:
    image = astronaut().convert("RGBA")
    alpha = np.full((512, 512), 255, np.uint8)
    alpha[:, :100] = 0
    image.putalpha(Image.fromarray(alpha))
    loaded = load_portrait(encoded(image.convert(mode), "PNG"), backdrop=(10, 20, 30))
    assert (loaded[:, :100] == [10, 20, 30]).all()
    assert (loaded[:, 100:] == pixels(astronaut().convert(mode[:-1]))[:, 100:]).all()


def test_transparent_palette_entry_shows_the_backdrop() -> None:
    palette = astronaut().quantize(16)
    loaded = load_portrait(encoded(palette, "PNG", transparency=3))
    clear = np.asarray(palette) == 3
    assert (loaded[clear] == 128).all()
    assert (loaded[~clear] == pixels(palette)[~clear]).all()


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG", "TIFF"])
@pytest.mark.parametrize(
    ("tag", "undo"),
    [(3, Image.Transpose.ROTATE_180), (6, Image.Transpose.ROTATE_90), (5, Image.Transpose.TRANSPOSE)],
)
def test_exif_orientation_is_applied(kind: str, tag: int, undo: Image.Transpose) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = tag
    stored = encoded(astronaut().crop((0, 0, 400, 512)).transpose(undo), kind, exif=exif)
    loaded = load_portrait(stored)
    assert loaded.shape == (512, 400, 3)
    assert difference(loaded, astronaut().crop((0, 0, 400, 512))) < 4


def test_animation_gives_its_first_frame() -> None:
    for kind in ("GIF", "WEBP", "PNG"):
        data = encoded(astronaut(), kind, save_all=True, append_images=[Image.new("RGB", (512, 512))])
        assert difference(load_portrait(data), astronaut()) < 4


def test_colour_profile_is_applied_and_a_broken_one_ignored() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for tag in (profile, b"not a profile" * 20):
        assert difference(load_portrait(encoded(astronaut(), "PNG", icc_profile=tag)), astronaut()) < 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_large_image_is_reduced_in_proportion(kind: str) -> None:
    large = astronaut().resize((3000, 1500))
    loaded = load_portrait(encoded(large, kind), ImageLimits(working_side=600))
    assert loaded.shape == (300, 600, 3)
    assert difference(loaded, astronaut().resize((600, 300))) < 4


def png_of_zeros(width: int, height: int) -> bytes:
    """Return an image that is small on disk only: one grey channel, all zeros, deflated row by row."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    pack = zlib.compressobj(1)
    rows = bytes(width + 1) * 100
    body = b"".join(pack.compress(rows) for _ in range(height // 100)) + pack.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_decompression_bomb_is_refused_by_its_header() -> None:
    bomb = png_of_zeros(20_000, 4_000)
    assert len(bomb) < 2**20
    with pytest.raises(ImageTooLargeError, match="20000 x 4000"):
        load_portrait(bomb)
    # A header of 50,000 x 50,000 is refused without a body.
    huge = bomb[:16] + struct.pack(">II", 50_000, 50_000) + bomb[24:29]
    huge += struct.pack(">I", zlib.crc32(huge[12:29])) + bomb[33:]
    with pytest.raises(ImageTooLargeError, match="2500 megapixels"):
        load_portrait(huge)


def test_file_over_the_byte_limit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageTooLargeError, match="MiB"):
        load_portrait(encoded(astronaut(), "BMP"), ImageLimits(max_bytes=2**19))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_truncated_file_is_damaged(kind: str, share: float) -> None:
    data = encoded(astronaut(), kind)
    with pytest.raises(ImageDamagedError, match=r"truncated or\s+damaged|header cannot be read"):
        load_portrait(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"PK\x03\x04" + bytes(100), "ZIP"),
        (b"%PDF-1.7", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
        (b"8BPS" + bytes(40), "Photoshop"),
        (b"\x00\x00\x00\x18ftypheic", "HEIC"),
        (b"<!doctype html><p>404", "web page"),
        (b"a portrait", "unknown kind"),
    ],
)
def test_other_formats_are_refused_by_name(content: bytes, name: str, tmp_path: Path) -> None:
    path = tmp_path / "portrait.png"
    path.write_bytes(content)
    with pytest.raises(NotAnImageError, match=name):
        load_portrait(path)


def test_empty_and_missing_files_raise_different_errors(tmp_path: Path) -> None:
    with pytest.raises(ImageEmptyError, match="0 bytes"):
        load_portrait(b"")
    with pytest.raises(ImageMissingError, match="No such file"):
        load_portrait(tmp_path / "nobody.png")
    with pytest.raises(ImageMissingError):
        load_portrait(tmp_path)


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"]),
    damage=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6
    ),
)
@pytest.mark.filterwarnings("default")
def test_corrupt_bytes_give_pixels_or_an_image_error(kind: str, damage: list[tuple[float, int]]) -> None:
    data = bytearray(encoded(astronaut().resize((64, 64)), kind))
    for position, value in damage:
        data[int(position * len(data))] = value
    try:
        loaded = load_portrait(bytes(data))
    except ImageError:
        return
    assert loaded.ndim == 3
    assert loaded.dtype == np.uint8


def test_image_errors_are_lipstream_errors() -> None:
    assert issubclass(ImageError, LipstreamError)
