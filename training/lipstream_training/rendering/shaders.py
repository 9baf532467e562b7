"""The renderer's GLSL sources. Lighting is linear; the last step writes gamma 2.0."""

from pathlib import Path


def read_shader(name: str) -> str:
    """Return the source of a shader file."""
    return (Path(__file__).parents[1] / "glsl" / name).read_text()


def skin_fragment(part: int) -> str:
    """Return the skin shader for one part (0 skin, 1 eye, 2 teeth, 3 tongue, 4 lash, 5 cloth).

    Software rasterisers execute both sides of every branch, so each part is a program of its own.
    """
    return f"#version 330\n#define PART {part}\n" + read_shader("common.glsl") + read_shader("skin.frag")


def hair_fragment() -> str:
    """Return the hair shader."""
    return "#version 330\n" + read_shader("common.glsl") + read_shader("hair.frag")
