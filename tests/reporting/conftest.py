"""A part that several tests report on."""

from tests.inspection.conftest import disc

__all__ = ["disc"]
