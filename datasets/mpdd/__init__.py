"""MPDD."""
