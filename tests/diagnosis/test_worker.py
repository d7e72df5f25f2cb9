"""Which worker processes of this host count as dead, so that a new one takes back what they held."""

from __future__ import annotations

import os
import subprocess
import sys

from diagnosis import worker


def test_a_running_process_is_alive() -> None:
    assert worker._alive(os.getpid())


def test_a_process_that_was_waited_for_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    assert not worker._alive(process.pid)


def test_a_zombie_is_dead() -> None:
    process = subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read()  # ends when the process does; nobody has waited for it
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    os.kill(process.pid, 0)  # it still answers
    assert not worker._alive(process.pid)
    process.wait()
