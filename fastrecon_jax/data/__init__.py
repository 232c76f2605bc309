"""Where images come from, and which of them are the support."""
