"""KolektorSDD."""
