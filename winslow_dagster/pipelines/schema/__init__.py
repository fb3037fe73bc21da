"""The fields of YAML files: how each is parsed, validated and described."""
