"""Messages to people about projects: rules, outbox, delivery."""
