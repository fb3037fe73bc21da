"""A crossroads that was never built: rendered footage whose every position is known."""
