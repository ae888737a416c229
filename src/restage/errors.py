"""The one exception that is meant for the user's eyes."""


class InputError(ValueError):
    """Something the user gave is wrong. The message is one line: where, what is wrong, what to do."""
