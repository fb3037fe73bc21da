"""Building stage images."""
