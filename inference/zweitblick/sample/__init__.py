"""A synthetic MRI study with a known lesion: the bundled sample and the ground truth of tests."""
