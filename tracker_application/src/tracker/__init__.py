"""Turns a drone video of a road into vehicle trajectories, lanes, a result video and charts."""

__version__ = "0.1.0"
