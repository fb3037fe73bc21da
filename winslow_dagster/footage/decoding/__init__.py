"""Runs in a confined process of its own: nothing else imports it. Only here are files of unknown origin decoded."""
