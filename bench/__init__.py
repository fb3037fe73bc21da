"""What the program must reach, measured: `python -m bench [name ...]`."""
