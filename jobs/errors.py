"""What can go wrong in the engine. An exception's docstring is its explanation, its code the word for it on a job."""

from datetime import timedelta


class BadArguments(TypeError):
    """The arguments given to `enqueue()` do not fit the task's signature, or are not JSON."""


class LeaseLost(Exception):
    """This worker no longer holds the job: it was cancelled, or its lease ran out and it was given to another.

    Let it pass through a task body. Nothing that the body does from here on would count.
    """


class NotNow(Exception):
    """What the job needs is away for now. It is tried again for as long as it takes, and no attempt is spent.

    Its words are for the owner.
    """

    retry_after = timedelta(seconds=30)


class ShuttingDown(BaseException):
    """The worker was told to stop, so the job is handed back. Not an error of the job: let it pass."""


class Suspended(Exception):
    """The job waits for its children, and its body will run again. Let it pass through a task body."""


class Superseded(Exception):
    """Another beat leads now. What this one was about to write, it has not written."""


class TimeLimitExceeded(Exception):
    """The attempt took longer than its task allows."""

    code = "time_limit"


class WorkerLost(Exception):
    """The worker died, or lost touch, in the middle of the attempt."""

    code = "worker_lost"


def code_of(error: BaseException) -> str:
    return getattr(error, "code", type(error).__name__)
