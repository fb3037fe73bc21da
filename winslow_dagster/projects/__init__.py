"""Projects, their tables, and every action a person can take on one."""
