"""What projects bring: checks of input files, copies into the store, the shared resource pool."""
