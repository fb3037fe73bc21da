"""What each stage does in a run: skipped, reused, held, or started."""
