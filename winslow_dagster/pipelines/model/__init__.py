"""A pipeline file as frozen values."""
