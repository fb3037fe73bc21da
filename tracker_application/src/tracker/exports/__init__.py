"""The trajectories in the layouts of other programs: each written by a function."""
