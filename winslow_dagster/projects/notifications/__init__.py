"""Messages about projects: rules, outbox, delivery."""
