"""The table of visemes is complete."""

from lipstream_training.motion.visemes import DIPHTHONGS, load_visemes, viseme_target
from lipstream_training.speech.phones import SYMBOLS


def test_every_phone_has_a_viseme_and_every_viseme_moves_known_blendshapes() -> None:
    table = load_visemes()
    for symbol in SYMBOLS:
        assert all(name in table for name in DIPHTHONGS.get(symbol, (symbol,)))
    for name, viseme in table.items():
        assert viseme_target(viseme).max() <= 1
        assert (viseme_target(viseme) > 0).any(), name
