"""Which outputs may be deleted, and deleting them."""
