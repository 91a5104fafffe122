"""Monkey-Net (Siarohin et al., CVPR 2019): animate a still picture with the motion of a driving video."""

__version__ = "0.1.0"
