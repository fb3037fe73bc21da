"""One stage attempt as a value, and its directory on the node."""
