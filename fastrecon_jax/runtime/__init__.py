"""What is said to XLA: compiler options, the cache of compiled programs, devices."""
