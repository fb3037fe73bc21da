"""Where bytes live: stores, manifests, transfers, the node cache."""
