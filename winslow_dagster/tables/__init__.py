"""Tables of any size, shown by windows: a file is read once, by a process with limits, into a small database."""
