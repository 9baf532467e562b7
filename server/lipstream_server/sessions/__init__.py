"""Live sessions: conversation state machine, window planning, pacing, admission and warm-up."""
