"""What the families of vision transformers share: layers, attention, positions, names of tensors and of stages."""
