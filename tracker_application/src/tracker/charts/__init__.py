"""The charts of a project: functions from data to a figure, whose data is also written as a table."""
