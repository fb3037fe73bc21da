"""Attempts side by side: parameters, results, files and tables."""
