"""Magnetic tile defects."""
