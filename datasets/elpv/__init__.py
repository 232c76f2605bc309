"""ELPV."""
