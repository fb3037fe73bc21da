"""The actions of a project, from a shell."""
