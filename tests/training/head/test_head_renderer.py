"""The synthetic head: its asset, its people, its pictures and its mouth."""

from dataclasses import replace

import numpy as np
import pytest

moderngl = pytest.importorskip("moderngl", reason="the head renderer needs moderngl (pip install moderngl)")

from lipstream_training.data.dataset import TEETH  # noqa: E402
from lipstream_training.head.canvas import FLOW_SIZE  # noqa: E402
from lipstream_training.head.head_mesh import HeadError, HeadMesh  # noqa: E402
from lipstream_training.head.identity import PersonIdentity  # noqa: E402
from lipstream_training.head.renderer import HeadRenderer, RenderError  # noqa: E402
from lipstream_training.head.scene import Scene  # noqa: E402


@pytest.fixture(scope="module")
def renderer() -> HeadRenderer:
    try:
        return HeadRenderer(size=64)
    except RenderError as error:
        pytest.skip(f"no offscreen OpenGL here: {error}")


def people(count: int, seed: int = 5) -> list[PersonIdentity]:
    rng = np.random.default_rng(seed)
    return [PersonIdentity.sample(rng) for _ in range(count)]


def scene() -> Scene:
    return Scene.sample(np.random.default_rng(2))


def test_the_asset_holds_every_arkit_shape_and_many_details() -> None:
    mesh = HeadMesh.load()
    assert len(mesh.units) == 52
    assert len(mesh.details) > 100
    assert mesh.triangles.max() < len(mesh.source)
    assert mesh.source.max() < len(mesh.base)


def test_unknown_targets_are_refused() -> None:
    with pytest.raises(HeadError, match="no-such-target"):
        HeadMesh.load().shaped({"no-such-target": 1.0})


def test_the_same_seed_gives_the_same_person() -> None:
    assert people(3) == people(3)


def test_rendering_is_deterministic(renderer: HeadRenderer) -> None:
    one, other = people(2)
    first = renderer.render(one, scene(), {"jawOpen": 0.3}, (0.1, 0.0, 0.0))
    renderer.render(other, scene(), {})
    again = renderer.render(one, scene(), {"jawOpen": 0.3}, (0.1, 0.0, 0.0))
    assert first.pixels.shape == (64, 64, 3)
    assert first.pixels.dtype == np.uint8
    np.testing.assert_array_equal(first.pixels, again.pixels)


def test_lips_close_and_open(renderer: HeadRenderer) -> None:
    for who in people(3):
        closed = renderer.render(who, scene(), {"mouthClose": 0.1, "jawOpen": 0.1}).lip_opening
        half = renderer.render(who, scene(), {"jawOpen": 0.3}).lip_opening
        wide = renderer.render(who, scene(), {"jawOpen": 0.7}).lip_opening
        assert closed < 0.03
        assert closed < half < wide
        assert wide > 0.25


def test_people_differ(renderer: HeadRenderer) -> None:
    pictures = [renderer.render(who, scene(), {}).pixels.astype(np.float32) for who in people(4)]
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert np.abs(one - other).mean() > 4


def test_the_face_fills_the_frame_and_holds_the_mouth(renderer: HeadRenderer) -> None:
    frame = renderer.render(people(1)[0], scene(), {})
    left, top, right, bottom = frame.face_box
    assert 0.45 < (bottom - top) / 64 < 0.75
    assert left > 0
    assert right < 64
    mouth = frame.mouth_box
    assert left < mouth[0] < mouth[2] < right
    assert top < mouth[1] < mouth[3] < bottom


def test_turning_the_head_moves_the_nose(renderer: HeadRenderer) -> None:
    who = people(1)[0]
    left = renderer.render(who, scene(), {}, (-0.3, 0.0, 0.0)).landmarks["nose"][0]
    right = renderer.render(who, scene(), {}, (0.3, 0.0, 0.0)).landmarks["nose"][0]
    assert right - left > 5


def test_unknown_blendshapes_are_refused(renderer: HeadRenderer) -> None:
    with pytest.raises(RenderError, match="jawWide"):
        renderer.render(people(1)[0], scene(), {"jawWide": 1.0})


def test_framing_follows_the_scene(renderer: HeadRenderer) -> None:
    who, near = people(1)[0], replace(scene(), face_fraction=0.65)
    far = replace(near, face_fraction=0.5)
    box_near, box_far = renderer.render(who, near, {}).face_box, renderer.render(who, far, {}).face_box
    assert box_near[3] - box_near[1] > 1.15 * (box_far[3] - box_far[1])


def test_flow_leads_from_a_frame_to_the_same_places_of_its_portrait(renderer: HeadRenderer) -> None:
    who, nod = people(1)[0], (0.0, 0.1, 0.0)
    portrait, frame = renderer.render(who, scene(), {}), renderer.render(who, scene(), {"jawOpen": 0.6}, nod)
    still, open_ = renderer.pose({}), renderer.pose({"jawOpen": 0.6}, nod)
    (same, moved), layers = renderer.flow([still, open_], still)
    assert not np.isnan(same).any()
    np.testing.assert_array_equal(layers > 0, np.isnan([same[..., 0], moved[..., 0]]))
    np.testing.assert_allclose(same, 0, atol=0.6)  # hidden by half a pixel where surfaces meet
    for place in ("chin", "nose", "forehead", "mouth_left", "eye_right"):
        x, y = frame.landmarks[place]
        expected = np.subtract(portrait.landmarks[place], frame.landmarks[place])
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


def test_outlines_enclose_what_is_seen_of_the_inside_and_of_teeth(renderer: HeadRenderer) -> None:
    renderer.render(people(1)[0], scene(), {})
    closed, open_ = poses = [renderer.pose({"jawOpen": 0.6 * share}, (0.05, 0.1, 0.0)) for share in (0, 1)]
    layers = renderer.flow(poses, closed)[1][1]
    without, outlines = renderer.outlines([closed, open_])
    assert (without[0] > without[1] - 1).all(), "closed lips meet"
    rows = (np.arange(FLOW_SIZE)[:, None] + 0.5) * renderer.size / FLOW_SIZE
    upper_lip, lower_lip, upper_teeth, lower_teeth = outlines
    inside = (upper_lip < rows) & (rows < lower_lip)
    assert ((layers > 0) != inside).sum() < 0.25 * inside.sum()  # a mouth 8 cells wide is mostly edge
    teeth = inside & ((rows < upper_teeth) | (rows > lower_teeth))
    assert ((layers == TEETH) != teeth).sum() < 0.25 * inside.sum()
    assert (layers == TEETH).any()
