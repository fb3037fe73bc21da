"""YAML text as plain data that knows its line and column."""
