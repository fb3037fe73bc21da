"""The charts of a project. Each is a function from data to a figure; the data is written beside it as a table."""
