"""The errors a user can act on. Every one carries a message that says what to do."""


class IocauditError(Exception):
    """Base of all errors of our own; a door prints its message and never a traceback."""


class CatalogueError(IocauditError):
    """A check's declaration is broken; names the check and the mistake. Stops the program at start."""


class PathSyntaxError(IocauditError):
    """A hit path does not follow the grammar of ``core.paths``."""


class PolicyError(IocauditError):
    """A policy document cannot be used; names the policy and, one a line, each field and what is wrong with it."""


class DeadlineExceeded(IocauditError):
    """An audit ran out of its time; what was not evaluated becomes a Fault."""


class IncompleteError(IocauditError):
    """A check looked up an object that is not known whole; names it and what it lacks. The engine says Skipped."""
