"""The animation of a face follows the phones that it says."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from spoken_phones import spoken

from lipstream_training.motion.animation import Animation, animate
from lipstream_training.motion.gestures import FPS, SpeakingStyle
from lipstream_training.motion.visemes import ARKIT_NAMES
from lipstream_training.speech.phones import Speech

CALM = SpeakingStyle(1.0, 0.0, 0.3, 3.0, 0.5, 0.01, (0.0, 0.0, 0.0), 0.0, 0.3)


def face(speech: Speech, seed: int = 0) -> Animation:
    return animate(speech, int(speech.seconds * FPS), np.random.default_rng(seed), CALM)


def frame_at(seconds: float) -> int:
    return int(seconds * FPS)


def test_animation_has_52_weights_for_each_frame() -> None:
    animation = face(spoken(("M", 0.1), ("AA", 0.2), ("UW", 0.2)))
    frames = int(1.3 * FPS)
    assert animation.blendshapes.shape == (frames, 52)
    assert animation.blendshapes.dtype == np.float32
    assert animation.head_rotation.shape == animation.head_translation.shape == (frames, 3)
    assert animation.gaze.shape == (frames, 2)
    assert animation.names == tuple(sorted(animation.names)) == ARKIT_NAMES
    assert 0 <= animation.blendshapes.min() <= animation.blendshapes.max() <= 1


def test_animation_is_determined_by_its_seed() -> None:
    speech = spoken(("B", 0.08), ("AY", 0.25))
    first, again, other = face(speech, 1), face(speech, 1), face(speech, 2)
    np.testing.assert_array_equal(first.blendshapes, again.blendshapes)
    np.testing.assert_array_equal(first.head_rotation, again.head_rotation)
    assert not np.array_equal(first.head_rotation, other.head_rotation)


def test_jaw_does_not_depend_on_the_seed() -> None:
    speech = spoken(("B", 0.08), ("AA", 0.25), ("M", 0.07), ("OW", 0.2))
    np.testing.assert_array_equal(face(speech, 1).track("jawOpen"), face(speech, 2).track("jawOpen"))


def test_frame_shows_the_middle_of_its_forty_milliseconds() -> None:
    # The vowel is centred on 0.58 s, the middle of frame 14.
    jaw = face(spoken(("AA", 0.2), before=0.48, after=0.48)).track("jawOpen")
    assert int(jaw.argmax()) == 14
    np.testing.assert_allclose(jaw[13], jaw[15], atol=0.05)


@given(before=st.floats(0.4, 0.48), length=st.floats(0.04, 0.12), symbol=st.sampled_from("PBM"))
@settings(max_examples=25, deadline=None)
def test_lips_close_for_bilabials_at_any_time(before: float, length: float, symbol: str) -> None:
    animation = face(spoken(("AA", 0.15), (symbol, length), ("AA", 0.15), before=before))
    (closed,) = animation.closures
    gap = animation.track("jawOpen") - animation.track("mouthClose")
    assert gap[closed] < 0.06
    assert animation.track("mouthPressLeft")[closed] > 0.3
    assert gap.max() > 0.35


def test_closures_are_those_of_bilabials() -> None:
    speech = spoken(("P", 0.1), ("AA", 0.2), ("T", 0.08), ("M", 0.1), ("IY", 0.2), ("B", 0.1), ("AH", 0.1))
    assert len(face(speech).closures) == 3
    assert face(spoken(("T", 0.1), ("IY", 0.2), ("F", 0.1))).closures == ()


@pytest.mark.parametrize("symbol", ["F", "V"])
def test_lower_lip_is_under_the_teeth_for_labiodentals(symbol: str) -> None:
    animation = face(spoken(("AA", 0.2), (symbol, 0.09), ("AA", 0.2)))
    assert animation.track("mouthRollLower")[frame_at(0.645)] > 0.4


def test_mouth_rests_in_silence() -> None:
    animation = face(spoken(before=1.0, after=1.0))
    assert animation.track("jawOpen").max() < 0.02
    assert animation.track("mouthPucker").max() < 0.02
    assert animation.closures == ()


def test_vowels_differ_in_jaw_and_lips() -> None:
    middle = frame_at(0.55)
    row = {name: face(spoken((name, 0.3))) for name in ("AA", "EH", "IY", "UW", "OW")}
    jaw = {name: float(animation.track("jawOpen")[middle]) for name, animation in row.items()}
    assert jaw["AA"] > jaw["EH"] > jaw["IY"] > 0.05
    assert row["UW"].track("mouthPucker")[middle] > 0.5 > 0.2 > row["AA"].track("mouthPucker")[middle]
    assert row["IY"].track("mouthStretchLeft")[middle] > row["UW"].track("mouthStretchLeft")[middle] + 0.1


def test_lips_round_before_a_rounded_vowel_starts() -> None:
    rounded = face(spoken(("AH", 0.1), ("S", 0.12), ("UW", 0.25))).track("mouthPucker")
    spread = face(spoken(("AH", 0.1), ("S", 0.12), ("IY", 0.25))).track("mouthPucker")
    onset = frame_at(0.62 - 0.04)
    assert rounded[onset] > spread[onset] + 0.1


def test_diphthong_moves_from_its_first_vowel_to_its_second() -> None:
    animation = face(spoken(("AW", 0.4)))
    early, late = frame_at(0.5), frame_at(0.75)
    assert animation.track("jawOpen")[early] > animation.track("jawOpen")[late]
    assert animation.track("mouthPucker")[early] < animation.track("mouthPucker")[late]


@given(frames=st.integers(1, 12))
@settings(max_examples=8, deadline=None)
def test_later_speech_gives_a_later_animation(frames: int) -> None:
    phones = (("M", 0.1), ("AA", 0.18), ("V", 0.09), ("IY", 0.2), ("P", 0.1), ("OW", 0.22))
    now, later = face(spoken(*phones)), face(spoken(*phones, before=0.4 + frames / FPS))
    count = min(len(now.blendshapes), len(later.blendshapes) - frames)
    for name in ("jawOpen", "mouthPucker", "mouthPressLeft", "mouthRollLower"):
        np.testing.assert_allclose(
            later.track(name)[frames : frames + count], now.track(name)[:count], atol=0.03
        )


def test_lids_close_in_blinks_and_open_again() -> None:
    lids = face(spoken(before=10.0, after=10.0)).track("eyeBlinkLeft")
    blinks = (lids[1:] > 0.6) & (lids[:-1] <= 0.6)
    assert 2 <= blinks.sum() <= 15
    assert lids.max() > 0.8
    assert np.median(lids) < 0.1


def test_head_sways_little_and_slowly() -> None:
    animation = face(spoken(*[("AA", 0.2), ("M", 0.1)] * 20))
    assert np.abs(animation.head_rotation).max() < 0.35
    assert np.abs(np.diff(animation.head_rotation, axis=0)).max() < 0.03


def animated(mouth: NDArray[np.float32] | None = None) -> Animation:
    speech = spoken(("AA", 0.3), ("M", 0.2), ("AA", 0.3), before=0.1, after=0.1)
    return animate(speech, 25, np.random.default_rng(1), mouth=mouth)


def test_given_mouth_replaces_that_of_the_phones_and_nothing_else() -> None:
    own, given_mouth = animated(), animated(np.zeros((25, 52), np.float32))
    assert own.track("jawOpen").max() > 0.2
    assert given_mouth.track("jawOpen").max() == 0
    np.testing.assert_array_equal(given_mouth.track("eyeBlinkLeft"), own.track("eyeBlinkLeft"))
    np.testing.assert_array_equal(given_mouth.head_rotation, own.head_rotation)
    assert given_mouth.closures == own.closures


def test_mouth_of_the_phones_can_be_given_back() -> None:
    own = animated()
    np.testing.assert_array_equal(animated(own.mouth).blendshapes, own.blendshapes)
