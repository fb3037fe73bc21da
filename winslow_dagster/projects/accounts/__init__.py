"""People, and how they prove who they are: passwords, sessions, tokens, links; and who may act on which project."""
