"""Meta-training of encoders on other categories than the one that is inspected."""
