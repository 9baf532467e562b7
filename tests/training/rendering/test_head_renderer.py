"""The synthetic head: its mesh, its people, its frames, and what is known about them."""

from dataclasses import replace

import numpy as np
import pytest

moderngl = pytest.importorskip("moderngl", reason="the head renderer needs moderngl (pip install moderngl)")

from lipstream_training.head.head_mesh import HeadError, HeadMesh  # noqa: E402
from lipstream_training.head.identity import PersonIdentity  # noqa: E402
from lipstream_training.head.scene import Scene  # noqa: E402
from lipstream_training.rendering.canvas import RenderError  # noqa: E402
from lipstream_training.rendering.render_targets import FLOW_SIZE  # noqa: E402
from lipstream_training.rendering.renderer import HeadRenderer  # noqa: E402
from lipstream_training.rendering.surfaces import OUTSIDE, TEETH  # noqa: E402


@pytest.fixture(scope="module")
def renderer() -> HeadRenderer:
    try:
        return HeadRenderer(size=64)
    except RenderError as error:
        pytest.skip(f"no offscreen OpenGL here: {error}")


def sample_people(count: int) -> list[PersonIdentity]:
    rng = np.random.default_rng(5)
    return [PersonIdentity.sample(rng) for _ in range(count)]


# The renderer keeps the last person and scene, so tests that share these objects do not build them again.
PEOPLE = sample_people(4)
PERSON = PEOPLE[0]
SCENE = Scene.sample(np.random.default_rng(2))


def test_asset_has_all_arkit_blendshapes_and_many_details() -> None:
    mesh = HeadMesh.load()
    assert len(mesh.units) == 52
    assert len(mesh.details) > 100
    assert mesh.triangles.max() < len(mesh.source)
    assert mesh.source.max() < len(mesh.base)


def test_unknown_targets_are_refused() -> None:
    with pytest.raises(HeadError, match="no-such-target"):
        HeadMesh.load().shaped({"no-such-target": 1.0})


def test_person_is_determined_by_the_seed() -> None:
    assert sample_people(3) == sample_people(3)


def test_rendering_is_deterministic(renderer: HeadRenderer) -> None:
    first = renderer.render(PERSON, SCENE, {"jawOpen": 0.3}, (0.1, 0.0, 0.0))
    renderer.render(PEOPLE[1], SCENE, {})
    again = renderer.render(PERSON, SCENE, {"jawOpen": 0.3}, (0.1, 0.0, 0.0))
    assert first.pixels.shape == (64, 64, 3)
    assert first.pixels.dtype == np.uint8
    np.testing.assert_array_equal(first.pixels, again.pixels)


def test_lips_close_and_open(renderer: HeadRenderer) -> None:
    for person in PEOPLE[:3]:
        closed = renderer.render(person, SCENE, {"mouthClose": 0.1, "jawOpen": 0.1}).lip_opening
        half = renderer.render(person, SCENE, {"jawOpen": 0.3}).lip_opening
        wide = renderer.render(person, SCENE, {"jawOpen": 0.7}).lip_opening
        assert closed < 0.03
        assert closed < half < wide
        assert wide > 0.25


def test_people_differ(renderer: HeadRenderer) -> None:
    frames = [renderer.render(person, SCENE, {}).pixels.astype(np.float32) for person in PEOPLE]
    for i, frame in enumerate(frames):
        for other in frames[:i]:
            assert np.abs(frame - other).mean() > 4


def test_face_fills_the_frame_and_contains_the_mouth(renderer: HeadRenderer) -> None:
    frame = renderer.render(PERSON, SCENE, {})
    left, top, right, bottom = frame.face_box
    assert 0.45 < (bottom - top) / 64 < 0.75
    assert left > 0
    assert right < 64
    mouth = frame.mouth_box
    assert left < mouth[0] < mouth[2] < right
    assert top < mouth[1] < mouth[3] < bottom


def test_nose_moves_when_the_head_turns(renderer: HeadRenderer) -> None:
    left = renderer.render(PERSON, SCENE, {}, (-0.3, 0.0, 0.0)).landmarks["nose"][0]
    right = renderer.render(PERSON, SCENE, {}, (0.3, 0.0, 0.0)).landmarks["nose"][0]
    assert right - left > 5


def test_unknown_blendshapes_are_refused(renderer: HeadRenderer) -> None:
    with pytest.raises(RenderError, match="jawWide"):
        renderer.render(PERSON, SCENE, {"jawWide": 1.0})


def test_framing_follows_the_scene(renderer: HeadRenderer) -> None:
    near = replace(SCENE, face_fraction=0.65)
    far = replace(near, face_fraction=0.5)
    box_near, box_far = (renderer.render(PERSON, scene, {}).face_box for scene in (near, far))
    assert box_near[3] - box_near[1] > 1.15 * (box_far[3] - box_far[1])


def test_flow_leads_from_a_frame_to_the_same_points_of_its_portrait(renderer: HeadRenderer) -> None:
    nod = (0.0, 0.1, 0.0)
    portrait = renderer.render(PERSON, SCENE, {})
    frame = renderer.render(PERSON, SCENE, {"jawOpen": 0.6}, nod)
    still, open_ = renderer.pose({}), renderer.pose({"jawOpen": 0.6}, nod)
    (same, moved), surfaces = renderer.flow([still, open_], still)
    assert not np.isnan(same).any()
    np.testing.assert_array_equal(surfaces != OUTSIDE, np.isnan([same[..., 0], moved[..., 0]]))
    np.testing.assert_allclose(same, 0, atol=0.6)  # up to half a pixel where surfaces meet
    for name in ("chin", "nose", "forehead", "mouth_left", "eye_right"):
        x, y = frame.landmarks[name]
        expected = np.subtract(portrait.landmarks[name], frame.landmarks[name])
        np.testing.assert_allclose(moved[int(y), int(x)], expected, atol=0.8)
    np.testing.assert_array_equal(moved[0, 0], 0)
    middle = (np.array(frame.landmarks["lip_upper"]) + frame.landmarks["lip_lower"]) / 2
    inside = np.isnan(moved[..., 0])
    assert inside[int(middle[1]), int(middle[0])]
    left, top, right, bottom = frame.mouth_box
    rows, columns = np.nonzero(inside)
    assert top - 1 < rows.min()
    assert rows.max() < bottom + 1
    assert left - 1 < columns.min()
    assert columns.max() < right + 1


def test_outlines_enclose_the_visible_inside_and_teeth(renderer: HeadRenderer) -> None:
    renderer.render(PERSON, SCENE, {})
    closed, open_ = poses = [renderer.pose({"jawOpen": 0.6 * share}, (0.05, 0.1, 0.0)) for share in (0, 1)]
    surfaces = renderer.flow(poses, closed)[1][1]
    closed_outlines, outlines = renderer.outlines([closed, open_])
    assert (closed_outlines[0] > closed_outlines[1] - 1).all(), "closed lips meet"
    rows = (np.arange(FLOW_SIZE)[:, None] + 0.5) * renderer.size / FLOW_SIZE
    upper_lip, lower_lip, upper_teeth, lower_teeth = outlines
    inside = (upper_lip < rows) & (rows < lower_lip)
    assert ((surfaces > 0) != inside).sum() < 0.25 * inside.sum()  # a mouth 8 cells wide is mostly edge
    teeth = inside & ((rows < upper_teeth) | (rows > lower_teeth))
    assert ((surfaces == TEETH) != teeth).sum() < 0.25 * inside.sum()
    assert (surfaces == TEETH).any()
