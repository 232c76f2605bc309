"""The project's own encoders: one file for each family, which registers its variants when it is imported."""
