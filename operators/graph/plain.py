"""As much of the SDK as Candor's one linear path needs, in plain Python: for sites that cannot have holoscan.

The operators are the same, the border of exceptions is the same, and so the results are the same, byte for byte.
holoscan asks for a recent glibc, CUDA's runtime and half a gigabyte; a small computer at a clinic may have none of it.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Port:
    """One side of a connection: what was emitted and not yet received."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def emit(self, message: Any, name: str) -> None:
        """Put a message onto the connection.

        Parameters
        ----------
        message
            What is sent.
        name
            Of the port; not used.
        """
        self.messages.append(message)

    def receive(self, name: str) -> Any:
        """Return the oldest message and remove it."""
        return self.messages.pop(0)


class OperatorSpec:
    """Takes the names of an operator's ports; on a linear path nobody asks for them."""

    def input(self, name: str) -> None:
        """Declare an input."""

    def output(self, name: str) -> None:
        """Declare an output."""


class Fragment:
    """What operators belong to."""


class Operator:
    """Base of the operators.

    Parameters
    ----------
    fragment
        The application.
    name
        For the log and the durations.
    """

    def __init__(self, fragment: Fragment, *, name: str = "") -> None:
        self.fragment = fragment
        self.name = name
        self.stopped = False
        self.setup(OperatorSpec())

    def setup(self, spec: OperatorSpec) -> None:
        """Declare the ports."""

    def compute(self, op_input: Any, op_output: Any, context: Any) -> None:
        """Do one piece of work.

        Parameters
        ----------
        op_input, op_output
            The ports.
        context
            The SDK's; None here.
        """
        raise NotImplementedError

    def stop_execution(self) -> None:
        """End the run; only a source calls it."""
        self.stopped = True


class GreedyScheduler:
    """Runs one operator after the other, which is all that :class:`Application` here does.

    Parameters
    ----------
    fragment
        The application.
    name
        What the SDK calls it.
    """

    def __init__(self, fragment: Fragment, *, name: str) -> None:
        self.name = name


class Application(Fragment):
    """A path from a source to a sink; each message goes all the way before the source is asked again."""

    def __init__(self) -> None:
        self._path: list[Operator] = []

    def scheduler(self, scheduler: GreedyScheduler) -> None:
        """Do nothing: there is only one scheduler."""

    def compose(self) -> None:
        """Construct the operators and connect them."""
        raise NotImplementedError

    def add_flow(self, before: Operator, after: Operator, ports: set[tuple[str, str]]) -> None:
        """Connect two operators, in the order of the path.

        Parameters
        ----------
        before, after
            The operators.
        ports
            Pairs of an output and an input; not used, since each operator has one of each at most.

        Raises
        ------
        ValueError
            The connections make no linear path.
        """
        if not self._path:
            self._path.append(before)
        if self._path[-1] is not before or after in self._path:
            raise ValueError(f"{before.name} to {after.name} is no next step of a linear path")
        self._path.append(after)

    def run_async(self) -> Future[None]:
        """Run on a thread of its own until the source stops."""
        self.compose()
        executor = ThreadPoolExecutor(1, thread_name_prefix="candor")
        future = executor.submit(self._run)
        executor.shutdown(wait=False)
        return future

    def _run(self) -> None:
        source, *path = self._path
        while not source.stopped:
            port = Port()
            source.compute(Port(), port, None)
            for operator in path if port.messages else []:
                following = Port()
                operator.compute(port, following, None)
                port = following
