"""Where a stage runner starts: this machine, or many."""
