"""The stage runner: one process that takes an attempt from its task to its result."""
