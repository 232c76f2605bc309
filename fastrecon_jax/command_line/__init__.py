"""Between the command line and the settings: flags, their fields, what people read."""
