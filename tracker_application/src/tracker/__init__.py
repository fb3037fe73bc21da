"""Turns a drone video of a road into vehicle trajectories, lanes, a result video and charts."""

import os

__version__ = "0.1.0"

# All matrices here are small: with more threads, linear algebra mostly waits for itself. It is set before NumPy
# and OpenCV are imported, which read it once. Set the variable to choose otherwise.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
