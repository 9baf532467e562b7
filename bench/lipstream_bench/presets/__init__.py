"""Speed and fidelity of sampling presets."""
