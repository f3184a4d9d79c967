"""Signals that a process catches, in the children that it forks."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

TIMEOUT = 60

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are POSIX's")


def printed(program: str) -> str:
    """What a process of its own writes."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)],
        timeout=TIMEOUT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stderr == ""
    return ran.stdout


def test_a_forked_child_has_the_handlers_from_before_and_the_parent_keeps_its_own() -> None:
    assert printed(
        """
        import os, signal
        from semiont_jobs.signals import handle

        signal.signal(signal.SIGUSR1, lambda number, frame: print("own", flush=True))
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            handle(number, lambda number: print("first", flush=True))
        handle(signal.SIGTERM, lambda number: print("second", flush=True))
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        child = os.fork()
        if not child:
            print(signal.getsignal(signal.SIGTERM).name, flush=True)
            signal.raise_signal(signal.SIGUSR2)
            signal.raise_signal(signal.SIGUSR1)
            signal.raise_signal(signal.SIGTERM)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGTERM)
        """
    ) == ("SIG_DFL\nown\n-15\nfirst\nsecond\n")


def test_a_signal_that_comes_in_the_midst_of_a_fork_waits_for_the_handlers_from_before() -> None:
    lines = printed(
        """
        import os, signal

        def masked():
            return signal.pthread_sigmask(signal.SIG_BLOCK, ())

        def names(numbers):
            return sorted(number.name for number in numbers)

        # In the child, what is registered first runs first.
        os.register_at_fork(after_in_child=lambda: seen.extend(masked()))
        from semiont_jobs.signals import handle

        seen = []
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        handle(signal.SIGTERM, print)
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        print("parent" if child else "child", names(seen), names(masked()))
        """
    ).splitlines()

    assert lines == ["child ['SIGTERM', 'SIGUSR1'] ['SIGUSR1']", "parent [] ['SIGUSR1']"]


def test_a_handler_that_was_set_over_ours_may_call_it_in_a_child() -> None:
    assert printed(
        """
        import os, signal
        from semiont_jobs.signals import handle

        handle(signal.SIGTERM, lambda number: print("heard", flush=True))
        under = signal.getsignal(signal.SIGTERM)

        def over(number, frame):
            print("over", flush=True)
            under(number, frame)

        signal.signal(signal.SIGTERM, over)
        child = os.fork()
        if not child:
            signal.raise_signal(signal.SIGTERM)
            signal.pause()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        signal.raise_signal(signal.SIGTERM)
        """
    ) == ("over\n-15\nover\nheard\n")
