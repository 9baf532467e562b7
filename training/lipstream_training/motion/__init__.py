"""From phones to a moving face: visemes, articulation, gestures, clips."""
