"""Stores, manifests, transfers, and the node's cache."""
