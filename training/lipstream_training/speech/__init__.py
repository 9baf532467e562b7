"""Speech for training: sentences, phones, voices, recordings and simulated acoustics."""
