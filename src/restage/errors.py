"""The one exception that is meant for the user's eyes."""


class InputError(ValueError):
    """Something given is wrong; the message is one line: where, what is wrong, what to do."""
