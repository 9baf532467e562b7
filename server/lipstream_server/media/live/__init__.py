"""Media of live sessions: fragments, tagged messages, audio input."""
