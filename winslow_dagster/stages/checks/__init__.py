"""A stage's outputs, checked against what its pipeline declares."""
