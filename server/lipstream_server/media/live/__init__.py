"""Media of live sessions: incoming audio, encoders, outgoing messages."""
