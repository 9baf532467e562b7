"""What a face owes to the phones it says; the phones are written_sentences by hand, so no synthesiser is needed."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lipstream_training.motion.animation import Animation, animate
from lipstream_training.motion.gestures import FPS, Style
from lipstream_training.motion.script import cut, joined
from lipstream_training.motion.visemes import (
    ARKIT_NAMES,
    DIPHTHONGS,
    viseme_target,
    load_visemes,
)
from lipstream_training.speech.alphabets import phones_from_ipa
from lipstream_training.speech.phones import (
    SAMPLE_RATE,
    SILENCE,
    SYMBOLS,
    Phone,
    Speech,
)
from lipstream_training.speech.sentences import written_sentences
from lipstream_training.speech.voices import HELDOUT_VOICES, TRAIN_VOICES

CALM = Style(1.0, 0.0, 0.3, 3.0, 0.5, 0.01, (0.0, 0.0, 0.0), 0.0, 0.3)


def said(*spoken: tuple[str, float], before: float = 0.4, after: float = 0.4) -> Speech:
    """Phones of given lengths between two silences, over a steady hum where they sound."""
    lengths = [(SILENCE, before), *spoken, (SILENCE, after)]
    ends = np.cumsum([length for _, length in lengths])
    starts = [0.0, *ends[:-1]]
    phones = tuple(
        Phone(symbol, float(start), float(end))
        for (symbol, _), start, end in zip(lengths, starts, ends, strict=True)
    )
    times = np.arange(round(float(ends[-1]) * SAMPLE_RATE)) / SAMPLE_RATE
    audio = 0.3 * np.sin(2 * np.pi * 150 * times) * ((times > before) & (times < float(ends[-2])))
    return Speech(audio.astype(np.float32), phones, "by hand")


def face(speech: Speech, seed: int = 0) -> Animation:
    return animate(speech, int(speech.seconds * FPS), np.random.default_rng(seed), CALM)


def frame_of(seconds: float) -> int:
    return int(seconds * FPS)


def test_a_face_has_a_row_of_52_weights_a_frame() -> None:
    animation = face(said(("M", 0.1), ("AA", 0.2), ("UW", 0.2)))
    frames = int(1.3 * FPS)
    assert animation.blendshapes.shape == (frames, 52)
    assert animation.blendshapes.dtype == np.float32
    assert animation.head_rotation.shape == animation.head_translation.shape == (frames, 3)
    assert animation.gaze.shape == (frames, 2)
    assert animation.names == tuple(sorted(animation.names)) == ARKIT_NAMES
    assert 0 <= animation.blendshapes.min() <= animation.blendshapes.max() <= 1


def test_the_same_seed_gives_the_same_face() -> None:
    speech = said(("B", 0.08), ("AY", 0.25))
    once, again, other = face(speech, 1), face(speech, 1), face(speech, 2)
    np.testing.assert_array_equal(once.blendshapes, again.blendshapes)
    np.testing.assert_array_equal(once.head_rotation, again.head_rotation)
    assert not np.array_equal(once.head_rotation, other.head_rotation)


def test_chance_moves_the_head_but_never_the_jaw() -> None:
    speech = said(("B", 0.08), ("AA", 0.25), ("M", 0.07), ("OW", 0.2))
    np.testing.assert_array_equal(face(speech, 1).track("jawOpen"), face(speech, 2).track("jawOpen"))


def test_a_frame_shows_the_middle_of_its_forty_milliseconds() -> None:
    # The vowel is centred on 0.58 s, the middle of frame 14.
    jaw = face(said(("AA", 0.2), before=0.48, after=0.48)).track("jawOpen")
    assert int(jaw.argmax()) == 14
    np.testing.assert_allclose(jaw[13], jaw[15], atol=0.05)


@given(before=st.floats(0.4, 0.48), length=st.floats(0.04, 0.12), symbol=st.sampled_from("PBM"))
@settings(max_examples=25, deadline=None)
def test_lips_shut_for_p_b_m_wherever_they_fall(before: float, length: float, symbol: str) -> None:
    animation = face(said(("AA", 0.15), (symbol, length), ("AA", 0.15), before=before))
    (shut,) = animation.closures
    gap = animation.track("jawOpen") - animation.track("mouthClose")
    assert gap[shut] < 0.06
    assert animation.track("mouthPressLeft")[shut] > 0.3
    assert gap.max() > 0.35


def test_a_closure_for_each_p_b_m() -> None:
    speech = said(("P", 0.1), ("AA", 0.2), ("T", 0.08), ("M", 0.1), ("IY", 0.2), ("B", 0.1), ("AH", 0.1))
    assert len(face(speech).closures) == 3
    assert face(said(("T", 0.1), ("IY", 0.2), ("F", 0.1))).closures == ()


def test_a_lip_under_the_teeth_for_f_and_v() -> None:
    for symbol in ("F", "V"):
        animation = face(said(("AA", 0.2), (symbol, 0.09), ("AA", 0.2)))
        assert animation.track("mouthRollLower")[frame_of(0.645)] > 0.4


def test_silence_rests_the_mouth() -> None:
    animation = face(said(before=1.0, after=1.0))
    assert animation.track("jawOpen").max() < 0.02
    assert animation.track("mouthPucker").max() < 0.02
    assert animation.closures == ()


def test_vowels_differ_in_the_jaw_and_in_the_lips() -> None:
    middle = frame_of(0.55)
    row = {name: face(said((name, 0.3))) for name in ("AA", "EH", "IY", "UW", "OW")}
    jaw = {name: float(animation.track("jawOpen")[middle]) for name, animation in row.items()}
    assert jaw["AA"] > jaw["EH"] > jaw["IY"] > 0.05
    assert row["UW"].track("mouthPucker")[middle] > 0.5 > 0.2 > row["AA"].track("mouthPucker")[middle]
    assert row["IY"].track("mouthStretchLeft")[middle] > row["UW"].track("mouthStretchLeft")[middle] + 0.1


def test_lips_round_before_the_round_vowel_sounds() -> None:
    rounded = face(said(("AH", 0.1), ("S", 0.12), ("UW", 0.25))).track("mouthPucker")
    spread = face(said(("AH", 0.1), ("S", 0.12), ("IY", 0.25))).track("mouthPucker")
    onset = frame_of(0.62 - 0.04)
    assert rounded[onset] > spread[onset] + 0.1


def test_a_diphthong_glides() -> None:
    animation = face(said(("AW", 0.4)))
    early, late = frame_of(0.5), frame_of(0.75)
    assert animation.track("jawOpen")[early] > animation.track("jawOpen")[late]
    assert animation.track("mouthPucker")[early] < animation.track("mouthPucker")[late]


@given(frames=st.integers(1, 12))
@settings(max_examples=8, deadline=None)
def test_speech_that_comes_later_is_shown_later(frames: int) -> None:
    spoken = (("M", 0.1), ("AA", 0.18), ("V", 0.09), ("IY", 0.2), ("P", 0.1), ("OW", 0.22))
    now, later = face(said(*spoken)), face(said(*spoken, before=0.4 + frames / FPS))
    count = min(len(now.blendshapes), len(later.blendshapes) - frames)
    for name in ("jawOpen", "mouthPucker", "mouthPressLeft", "mouthRollLower"):
        np.testing.assert_allclose(
            later.track(name)[frames : frames + count], now.track(name)[:count], atol=0.03
        )


def test_a_long_listener_blinks_fully_and_opens_again() -> None:
    lids = face(said(before=10.0, after=10.0)).track("eyeBlinkLeft")
    shut = (lids[1:] > 0.6) & (lids[:-1] <= 0.6)
    assert 2 <= shut.sum() <= 15
    assert lids.max() > 0.8
    assert np.median(lids) < 0.1


def test_the_head_sways_little_and_slowly() -> None:
    animation = face(said(*[("AA", 0.2), ("M", 0.1)] * 20))
    assert np.abs(animation.head_rotation).max() < 0.35
    assert np.abs(np.diff(animation.head_rotation, axis=0)).max() < 0.03


def test_every_phone_has_a_viseme_and_every_viseme_known_shapes() -> None:
    table = load_visemes()
    for symbol in SYMBOLS:
        assert all(name in table for name in DIPHTHONGS.get(symbol, (symbol,)))
    for name, viseme in table.items():
        assert viseme_target(viseme).max() <= 1
        assert (viseme_target(viseme) > 0).any(), name


def test_ipa_signs_become_phones_without_gaps() -> None:
    spoken = "ˈbaɪ, tʃɪps ɔːlsəʊ"
    times = np.arange(len(spoken) + 1) * 0.06
    signs = [(sign, float(times[i]), float(times[i + 1])) for i, sign in enumerate(spoken)]
    phones = phones_from_ipa(signs)
    names = [phone.symbol for phone in phones if phone.symbol != SILENCE]
    assert names == ["B", "AY", "CH", "IH", "P", "S", "AO", "L", "S", "OW"]
    for before, after in itertools.pairwise(phones):
        assert before.end == pytest.approx(after.start)
    assert phones[-1].end == pytest.approx(times[-1])


def test_joined_and_cut_speech_keeps_sound_and_phones_together() -> None:
    first, second = said(("AA", 0.2)), said(("M", 0.1), ("IY", 0.2))
    both = joined([first, second])
    assert len(both.audio) == len(first.audio) + len(second.audio)
    piece = cut(both, 8000, 8000)
    np.testing.assert_array_equal(piece.audio, both.audio[8000:16000])
    nasal = next(phone for phone in piece.phones if phone.symbol == "M")
    assert nasal.start == pytest.approx(len(first.audio) / SAMPLE_RATE + 0.4 - 0.5)


def test_held_out_speech_shares_nothing_with_training() -> None:
    assert not set(TRAIN_VOICES) & set(HELDOUT_VOICES)
    assert not set(written_sentences("train")) & set(written_sentences("heldout"))
    assert min(len(written_sentences("train")) / 120, len(written_sentences("heldout")) / 20) >= 1
