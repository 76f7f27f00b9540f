"""What can go wrong, by what is done about it."""


class Wrong(Exception):
    """Wrong arguments: the command ends with 2."""


class Interrupted(Exception):
    """A replay was killed: it is worth another attempt, elsewhere."""
