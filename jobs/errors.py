"""What can go wrong in the engine. An exception's docstring is its explanation."""


class LeaseLost(Exception):
    """This worker no longer holds the job: it was cancelled, or its lease ran out and it was given to another.

    Let it pass through a task body. Nothing that the body does from here on would count.
    """


class BadArguments(TypeError):
    """The arguments given to `enqueue()` do not fit the task's signature, or are not JSON."""


class WorkerLost(Exception):
    """The worker died, or lost touch, in the middle of the attempt."""
