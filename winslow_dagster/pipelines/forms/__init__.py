"""Forms and answers: checked, and turned into what a stage reads."""
