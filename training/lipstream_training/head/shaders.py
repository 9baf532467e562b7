"""The head renderer's GLSL, kept beside this file. Lighting is linear; the last step writes gamma 2.0."""

from pathlib import Path


def read(name: str) -> str:
    """A shader file as it stands."""
    return (Path(__file__).parents[1] / "glsl" / name).read_text()


def part_fragment(part: int) -> str:
    """The skin shader cut to one part (0 skin, 1 eye, 2 teeth, 3 tongue, 4 lash, 5 cloth).

    Software rasterisers run both sides of every branch, so each part is its own program.
    """
    return f"#version 330\n#define PART {part}\n" + read("common.glsl") + read("skin.frag")


def hair_fragment() -> str:
    """The hair shader."""
    return "#version 330\n" + read("common.glsl") + read("hair.frag")
