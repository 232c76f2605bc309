"""Real-IAD."""
