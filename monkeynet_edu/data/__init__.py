"""Data: sprites with ground truth, reading and writing video, data sets, pairs of frames."""
