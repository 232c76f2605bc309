"""Several evaluations, of this program and of others, as one table: what a difference between two of them is worth."""
