"""The trajectories in the formats of other programs, one function per format."""
