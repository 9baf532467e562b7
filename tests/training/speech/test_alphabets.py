"""Conversion of phone alphabets to ARPAbet."""

import itertools

import pytest

from lipstream_training.speech.alphabets import phones_from_ipa
from lipstream_training.speech.phones import SILENCE


def test_ipa_signs_become_phones_without_gaps() -> None:
    text = "ˈbaɪ, tʃɪps ɔːlsəʊ"
    signs = [(sign, i * 0.06, (i + 1) * 0.06) for i, sign in enumerate(text)]
    phones = phones_from_ipa(signs)
    names = [phone.symbol for phone in phones if phone.symbol != SILENCE]
    assert names == ["B", "AY", "CH", "IH", "P", "S", "AO", "L", "S", "OW"]
    for before, after in itertools.pairwise(phones):
        assert before.end == pytest.approx(after.start)
    assert phones[-1].end == pytest.approx(len(text) * 0.06)
