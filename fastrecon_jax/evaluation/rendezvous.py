"""Processes on several hosts meet before jax does, which would abort with a stack trace and not say who is missing.

Process 0 listens at the coordinator's port until all others have said who they are, and tells all of them to go on. The
port is then free for jax.
"""

import contextlib
import socket
import time

from fastrecon_jax.errors import InputError

_GREETING = "fastrecon_jax"
_GO = "go"
_LONGEST = 200  # bytes of a line
_PATIENCE = 5.0  # seconds for a line of somebody who has connected


def meet(coordinator: str, count: int, index: int, *, seconds: float) -> None:
    """Wait until all processes are there.

    Args:
        coordinator: HOST:PORT of process 0.
        count: of all processes, at least 2.
        index: of this one.
        seconds: to wait at most.

    Raises:
        InputError: not all came, two are alike, the port is taken, or process 0 cannot be reached.
    """
    host, _, port = coordinator.rpartition(":")
    try:
        if index == 0:
            _gather(int(port), count, seconds)
        else:
            _report(host.strip("[]"), int(port), f"{_GREETING} {index} {count}", time.monotonic() + seconds)
    except (OSError, _NotMetError) as error:
        reason = str(getattr(error, "strerror", None) or error).split(" (while ")[0]
        raise InputError(f"--coordinator={coordinator}: {reason}") from None


class _NotMetError(Exception):
    pass


def _gather(port: int, count: int, seconds: float) -> None:
    """Process 0: all others, then the word to go."""
    end = time.monotonic() + seconds
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    there: dict[int, socket.socket] = {}
    with (
        contextlib.ExitStack() as open_,
        socket.create_server(("", port), family=family, dualstack_ipv6=both) as server,
    ):
        while len(there) < count - 1:
            server.settimeout(max(end - time.monotonic(), 0.001))
            try:
                connection = open_.enter_context(server.accept()[0])
            except TimeoutError:
                missing = [str(i) for i in range(1, count) if i not in there]
                raise _NotMetError(f"process {', '.join(missing)} of {count} did not come in {seconds:.0f} s") from None
            words = _line(connection).split()
            if len(words) != 3 or words[0] != _GREETING:
                connection.close()  # somebody else
                continue
            came, of = int(words[1]), int(words[2])
            if of != count or came in there:
                problem = f"process {came} of {of} came {'twice' if came in there else f'to a group of {count}'}"
                for other in (connection, *there.values()):
                    _say(other, problem)
                raise _NotMetError(problem)
            there[came] = connection
        for connection in there.values():
            _say(connection, _GO)
        for connection in there.values():
            _line(connection)  # until the other side has closed: the port is free at once only if it closes first


def _report(host: str, port: int, greeting: str, end: float) -> None:
    """Any other process: say who this is as soon as process 0 listens, and wait for its word."""
    connection = None
    while connection is None:
        try:
            connection = socket.create_connection((host, port), timeout=_PATIENCE)
        except socket.gaierror:
            raise
        except OSError as error:
            if time.monotonic() > end:
                raise _NotMetError(f"process 0 cannot be reached: {error.strerror or error}") from None
            time.sleep(0.2)
    with connection:
        _say(connection, greeting)
        answer = _line(connection, max(end - time.monotonic(), 0) + _PATIENCE)
    if answer != _GO:
        raise _NotMetError(answer or "process 0 has ended, or something else listens there")


def _say(connection: socket.socket, line: str) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(f"{line}\n".encode())


def _line(connection: socket.socket, seconds: float = _PATIENCE) -> str:
    """A line, or what came of it."""
    connection.settimeout(seconds)
    text = b""
    with contextlib.suppress(OSError):
        while not text.endswith(b"\n") and len(text) < _LONGEST and (more := connection.recv(_LONGEST)):
            text += more
    return text.decode(errors="replace").strip()
