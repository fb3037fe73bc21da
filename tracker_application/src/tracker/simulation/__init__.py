"""Simulated roads: rendered footage with known ground truth."""
