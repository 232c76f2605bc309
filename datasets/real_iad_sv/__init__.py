"""Real-IAD, one view."""
