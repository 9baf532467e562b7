"""Audio windows of speech stay inside their clips."""

from lipstream_training.diffusion.speech_data import window_index


def test_audio_windows_are_clamped_at_the_ends_of_their_clips() -> None:
    index = window_index([3, 4])
    assert index[0].tolist() == [0, 0, 0, 1, 2]
    assert index[2].tolist() == [0, 1, 2, 2, 2]
    assert index[3].tolist() == [3, 3, 3, 4, 5]
    assert index[6].tolist() == [4, 5, 6, 6, 6]
