"""insightface's decoding and alignment, checked on geometry and on small ONNX graphs."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipstream_models.face_recognition.geometry import (
    ARCFACE_POINTS,
    align,
    decode_level,
    letterbox,
    similarity,
    suppress,
)
from lipstream_models.face_recognition.insightface import FaceIdentifier, FaceModelError

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@given(angle=st.floats(-3, 3), scale=st.floats(0.1, 10), x=st.floats(-50, 50), y=st.floats(-50, 50))
def test_similarity_recovers_any_rotation_scale_and_shift(
    angle: float, scale: float, x: float, y: float
) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = np.array(ARCFACE_POINTS, dtype=np.float32)
    source = target @ turn.T + np.array([x, y])
    matrix = similarity(source, target)
    np.testing.assert_allclose(source @ matrix[:, :2].T + matrix[:, 2], target, atol=1e-3)


def test_aligned_faces_have_their_points_where_arcface_wants_them() -> None:
    image = np.zeros((300, 400, 3), dtype=np.uint8)
    turn = 1.7 * np.array([[0.9, -0.2], [0.2, 0.9]])
    points = (np.array(ARCFACE_POINTS) @ turn.T + [120, 60]).astype(np.float32)
    for index, (x, y) in enumerate(points.round().astype(int)):
        image[y - 2 : y + 3, x - 2 : x + 3] = 50 + 40 * index
    aligned = align(image, points)
    assert aligned.shape == (112, 112, 3)
    for index, (x, y) in enumerate(np.array(ARCFACE_POINTS).round().astype(int)):
        assert abs(int(aligned[y, x, 0]) - (50 + 40 * index)) < 8


@pytest.mark.parametrize(("height", "width"), [(640, 640), (333, 1000), (1001, 37), (10, 10)])
def test_letterbox_keeps_proportions_in_the_upper_left(height: int, width: int) -> None:
    square, scale = letterbox(np.full((height, width, 3), 200, dtype=np.uint8), 640)
    assert square.shape == (640, 640, 3)
    rows, columns = (square[..., 0] > 0).any(axis=1).sum(), (square[..., 0] > 0).any(axis=0).sum()
    assert max(rows, columns) == 640
    assert rows == int(640 * height / max(height, width))
    assert scale == rows / height


def test_decoding_places_boxes_around_their_cell() -> None:
    scores = np.zeros(4 * 4 * 2, dtype=np.float32)
    scores[2 * (4 * 2 + 3) + 1] = 0.7  # row 2, column 3, second anchor
    boxes = np.tile(np.array([1, 2, 3, 4], dtype=np.float32), (32, 1))
    points = np.tile(np.arange(10, dtype=np.float32), (32, 1))
    found, corners, places = decode_level(scores, boxes, points, 8, 4, 0.5)
    assert found.tolist() == [np.float32(0.7)]
    assert corners.tolist() == [[24 - 8, 16 - 16, 24 + 24, 16 + 32]]
    assert places[0, 1].tolist() == [24 + 16, 16 + 24]


def test_suppression_keeps_the_best_of_overlapping_boxes() -> None:
    boxes = np.array([[0, 0, 9, 9], [1, 1, 10, 10], [50, 50, 60, 60], [0, 0, 4, 9]], dtype=np.float32)
    assert suppress(boxes, np.array([0.6, 0.9, 0.7, 0.5], dtype=np.float32), 0.4) == [1, 2, 3]
    assert suppress(boxes[:0], np.zeros(0, dtype=np.float32), 0.4) == []


def write_graph(path: Path, nodes: list[object], size: int, outputs: dict[str, list[int]]) -> Path:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input", kind, [1, 3, size, size])],
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in outputs.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def constant(name: str, values: np.ndarray) -> object:
    tensor = onnx.numpy_helper.from_array(values.astype(np.float32))
    return onnx.helper.make_node("Constant", [], [name], value=tensor)


def write_detector(path: Path, faces: dict[tuple[int, int, int], tuple[float, float]]) -> Path:
    """A detector that always sees the same: {(stride, row, column): (score, half side in strides)}."""
    outputs: dict[str, np.ndarray] = {}
    for kind, width in (("score", 1), ("box", 4), ("point", 10)):
        for stride in (8, 16, 32):
            outputs[f"{kind}{stride}"] = np.zeros((2 * (640 // stride) ** 2, width))
    shape = (np.array(ARCFACE_POINTS) - 56) / 56
    for (stride, row, column), (score, half) in faces.items():
        anchor = 2 * (row * (640 // stride) + column)
        outputs[f"score{stride}"][anchor] = score
        outputs[f"box{stride}"][anchor] = half
        outputs[f"point{stride}"][anchor] = (half * shape).reshape(-1)
    nodes = [constant(name, values) for name, values in outputs.items()]
    return write_graph(path, nodes, 640, {name: list(values.shape) for name, values in outputs.items()})


def write_recogniser(path: Path, width: int = 512) -> Path:
    """The mean of each channel, then zeros."""
    nodes = [
        onnx.helper.make_node("ReduceMean", ["input"], ["means"], axes=[2, 3], keepdims=0),
        constant("rest", np.zeros((1, width - 3))),
        onnx.helper.make_node("Concat", ["means", "rest"], ["embedding"], axis=1),
    ]
    return write_graph(path, nodes, 112, {"embedding": [1, width]})


def test_the_largest_face_is_found_and_embedded(tmp_path: Path) -> None:
    detector = write_detector(
        tmp_path / "detector.onnx",
        {
            (16, 10, 12): (0.9, 6.0),
            (16, 10, 13): (0.8, 6.0),
            (8, 60, 60): (0.95, 2.0),
            (32, 3, 3): (0.4, 9.0),
        },
    )
    identifier = FaceIdentifier(detector, write_recogniser(tmp_path / "recogniser.onnx"))
    image = np.zeros((320, 320, 3), dtype=np.uint8)
    image[...] = (255, 127, 0)
    found = identifier.identify(image)
    assert found is not None
    assert found.faces == 2
    # The picture is half as large as the detector's square.
    np.testing.assert_allclose(found.face.box, np.array([192 - 96, 160 - 96, 192 + 96, 160 + 96]) / 2)
    assert found.face.score == pytest.approx(0.9)
    assert found.embedding.shape == (512,)
    np.testing.assert_allclose(found.embedding[:3], [1, 0, -1], atol=0.01)


def test_no_face_gives_none(tmp_path: Path) -> None:
    identifier = FaceIdentifier(
        write_detector(tmp_path / "detector.onnx", {}), write_recogniser(tmp_path / "recogniser.onnx")
    )
    assert identifier.identify(np.zeros((100, 50, 3), dtype=np.uint8)) is None
    with pytest.raises(FaceModelError, match="expected an RGB picture"):
        identifier.identify(np.zeros((100, 50), dtype=np.uint8))


def test_models_that_cannot_be_used_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = write_detector(tmp_path / "detector.onnx", {(16, 10, 12): (0.9, 6.0)})
    recogniser = write_recogniser(tmp_path / "recogniser.onnx")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(detector.read_bytes()[:1000])
    with pytest.raises(FaceModelError, match=r"gone\.onnx: missing"):
        FaceIdentifier(tmp_path / "gone.onnx", recogniser)
    with pytest.raises(FaceModelError, match=r"broken\.onnx: not a usable ONNX model"):
        FaceIdentifier(broken, recogniser)
    with pytest.raises(FaceModelError, match="expected 9 outputs"):
        FaceIdentifier(recogniser, recogniser)
    narrow = FaceIdentifier(detector, write_recogniser(tmp_path / "narrow.onnx", 256))
    with pytest.raises(FaceModelError, match="expected 512 numbers, got 256"):
        narrow.identify(np.zeros((100, 100, 3), dtype=np.uint8))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(FaceModelError, match=r"pip install -e '\.\[hallo\]'"):
        FaceIdentifier(detector, recogniser)
