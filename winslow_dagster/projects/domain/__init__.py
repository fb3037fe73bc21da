"""Pure values of a project, and what follows from them: names, lineage, requests, questions, views."""
