"""Everything a person can do with an installation and its projects."""
