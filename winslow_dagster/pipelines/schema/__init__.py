"""The fields of a pipeline file: how each is read, checked and described."""
