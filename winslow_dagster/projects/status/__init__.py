"""The state of projects: one in full, or all of them in a list."""
