"""YAML as plain data with line and column numbers."""
