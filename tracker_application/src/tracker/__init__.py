"""From a drone's video of a road to vehicle trajectories, lanes, a result video and charts."""

__version__ = "0.1.0"
