"""The mathematics, for one example each: JAX alone, no files, flags or logging."""
