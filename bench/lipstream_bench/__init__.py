"""Speed and fidelity, measured. Not in the wheel."""
