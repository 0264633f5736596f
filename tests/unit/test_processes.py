"""Which of several processes this is, and what SIGTERM means where it cannot be caught."""

import os
import signal
import threading

import pytest

from cacr._processes import local_rank, rank, world_size
from cacr._stopping import Preempted, preemptible, reader


def test_a_process_is_the_one_that_its_launcher_says_and_without_one_alone(monkeypatch):
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert (rank(), local_rank(), world_size()) == (0, 0, 1)
    for name, value in (("RANK", "5"), ("LOCAL_RANK", "1"), ("WORLD_SIZE", "8")):
        monkeypatch.setenv(name, value)
    assert (rank(), local_rank(), world_size()) == (5, 1, 8)


def test_a_thread_works_on_without_handlers_of_its_own():
    before, found = signal.getsignal(signal.SIGTERM), []

    def work():
        with preemptible():
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [before]  # it came to its end, where setting a handler would have raised


def test_a_process_that_reads_is_not_ended_by_the_signal_to_all():
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(Preempted), preemptible():
            os.kill(os.getpid(), signal.SIGTERM)
        with preemptible():
            reader(0)
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
