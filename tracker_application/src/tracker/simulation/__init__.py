"""Roads that were never built: rendered footage whose every position is known."""
