"""Processes meet, or say in a line why not; here they are threads."""

import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import rendezvous


@pytest.fixture
def coordinator():
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    return f"localhost:{port}"


def meet_all(coordinator, *who, seconds=20.0):
    """What becomes of each (index, count): None, or its error."""

    def one(pair):
        try:
            rendezvous.meet(coordinator, pair[1], pair[0], seconds=seconds)
        except InputError as error:
            return str(error)

    with ThreadPoolExecutor(len(who)) as pool:
        return list(pool.map(one, who))


def test_all_go_on_and_the_port_is_free(coordinator):
    for _ in range(2):
        assert meet_all(coordinator, (3, 4), (1, 4), (0, 4), (2, 4)) == [None] * 4


def test_who_is_missing_is_named(coordinator):
    first, second = meet_all(coordinator, (0, 4), (2, 4), seconds=1.0)
    assert first == f"--coordinator={coordinator}: process 1, 3 of 4 did not come in 1 s"
    assert second == f"--coordinator={coordinator}: process 0 has ended, or something else listens there"


def test_two_of_the_same_index_are_refused(coordinator):
    errors = meet_all(coordinator, (0, 3), (1, 3), (1, 3))
    assert set(errors) == {f"--coordinator={coordinator}: process 1 of 3 came twice"}


def test_another_number_of_processes_is_refused(coordinator):
    errors = meet_all(coordinator, (0, 3), (1, 2))
    assert set(errors) == {f"--coordinator={coordinator}: process 1 of 2 came to a group of 3"}


def test_a_port_in_use_is_said(coordinator):
    with socket.create_server(("", int(coordinator.rpartition(":")[2]))):
        assert meet_all(coordinator, (0, 2)) == [f"--coordinator={coordinator}: Address already in use"]


def test_nobody_there_is_said(coordinator):
    (error,) = meet_all(coordinator, (1, 2), seconds=0.3)
    assert error == f"--coordinator={coordinator}: process 0 cannot be reached: Connection refused"


def test_a_stranger_does_not_count(coordinator):
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(meet_all, coordinator, (0, 2), (1, 2))
        for _ in range(20):
            try:
                with socket.create_connection(("localhost", int(coordinator.rpartition(":")[2]))) as stranger:
                    stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
                break
            except OSError:
                pass
        assert result.result() == [None, None]
