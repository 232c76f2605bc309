"""The one exception that entry points turn into a line of text and exit code 2."""


class InputError(ValueError):
    """Something that the user gave cannot be used: the message names it, what is wrong and what is allowed."""
