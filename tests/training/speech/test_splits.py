"""Voices and sentences of training and evaluation are separate."""

from lipstream_training.speech.sentences import written_sentences
from lipstream_training.speech.voices import HELDOUT_VOICES, TRAIN_VOICES


def test_held_out_speech_has_no_voice_or_sentence_of_training() -> None:
    assert not set(TRAIN_VOICES) & set(HELDOUT_VOICES)
    train, heldout = (set(written_sentences(split)) for split in ("train", "heldout"))
    assert not train & heldout
    assert len(train) >= 120
    assert len(heldout) >= 20
