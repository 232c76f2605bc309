"""What the commands for parts do with folders of photographs: fit, extend, predict."""
