"""The training loop of the methods whose networks are trained, and its checkpoints."""
