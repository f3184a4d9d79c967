"""Faults of pools: their threads, their processes, the runs of scripts.

It must not know the other layers.
"""

from __future__ import annotations

from mutants.fault import Fault

FAULTS = (
    Fault(
        name="more-than-max-jobs",
        file="pool/crew.py",
        was="                return False  # another thread looks for the last one\n",
        becomes="                return True  # another thread looks for the last one\n",
        breaks="a process does no more than max_jobs",
        tests=("test_exactly_max_jobs_are_claimed_however_many_threads_claim_at_once",),
    ),
    Fault(
        name="stuck-work-untold",
        file="pool/watch.py",
        was='        self.crew.queue.emit("stuck", job, str(error))\n',
        becomes="",
        breaks="work that ignores its time limit is given up and told",
        tests=("test_work_that_ignores_its_limit_is_given_up_told_and_replaced",),
    ),
    Fault(
        name="stuck-before-its-limit",
        file="pool/hand.py",
        was="time.monotonic() + seconds + stuck_after",
        becomes="time.monotonic() + stuck_after",
        breaks="no work is robbed before its limit",
        tests=("test_no_work_is_robbed_before_its_limit_nor_work_without_one",),
    ),
    Fault(
        name="dead-thread-without-a-reason",
        file="pool/watch.py",
        was='error = hand.error or JobFailed("the thread',
        becomes='error = JobFailed("the thread',
        breaks="the job of a thread that died says what ended it",
        tests=("test_a_thread_that_dies_is_replaced_and_its_job_fails",),
    ),
    Fault(
        name="message-waits-for-its-own-thread",
        file="pool/child.py",
        was="        while self._sender != me and self._sending.acquire(timeout=patience):\n",
        becomes="        while self._sending.acquire(timeout=patience):\n",
        breaks="garbage that logs when it is collected does not wait for its own thread",
        tests=(
            "test_what_is_told_in_the_midst_of_telling_waits_for_nobody_however_much_is_unsent",
        ),
    ),
    Fault(
        name="message-waits-for-another-thread",
        file="pool/child.py",
        was="        while self._sender != me and self._sending.acquire(timeout=patience):\n",
        becomes="        while self._sender != me and self._sending.acquire(timeout=60):\n",
        breaks="who tells something waits a moment at most for the thread that is sending",
        tests=("test_nobody_waits_for_the_thread_that_sends_and_it_sends_what_others_left",),
    ),
    Fault(
        name="loggers-wait-for-each-other",
        file="pool/echo.py",
        was="            self.emit(record if filtered is True else filtered)\n        return bool(filtered)\n",
        becomes="            return bool(super().handle(record))\n        return bool(filtered)\n",
        breaks="a thread that logs does not wait for one that is telling",
        tests=("test_threads_that_log_do_not_wait_for_one_that_is_telling",),
    ),
    Fault(
        name="jobs-of-a-killed-process-finished",
        file="pool/supervisor.py",
        was="                self.given_back += slot.in_hand\n",
        becomes="",
        breaks="a stop tells whether every job in hand was finished",
        tests=("test_a_job_whose_process_had_to_be_killed_was_not_finished",),
    ),
    Fault(
        name="stop-in-the-start-forgotten",
        file="starting.py",
        was="            if self._within is not None:",
        becomes="            if self._thread:",
        breaks="a signal's handler may stop a pool at any point of its start",
        tests=("test_a_pool_that_is_stopped_in_the_midst_of_its_start_ends_what_it_began",),
    ),
    Fault(
        name="results-as-they-come",
        file="pool/mapping.py",
        was="next(iter(self._open)) if in_order else next(iter(self._finished), None)",
        becomes="next(iter(self._finished), None)",
        breaks="results come in the order of the items",
        tests=("test_results_come_in_the_order_of_the_items",),
    ),
    Fault(
        name="items-of-a-stopped-run-pass-for-cancelled",
        file="pool/scripts.py",
        was='if run.is_nameless and outcome.job.status == "cancelled":',
        becomes="if run.is_nameless and not run.type:",
        breaks="the iteration of a stopped pool's run ends with an error",
        tests=("test_items_that_a_stop_has_cancelled_are_told_of_as_that",),
    ),
    Fault(
        name="run-opens-what-was-closed",
        file="pool/mapping.py",
        was="        self._opening.check()\n        taken",
        becomes="        taken",
        breaks="a run opens no closed queue",
        tests=("test_a_run_opens_no_closed_queue",),
    ),
    Fault(
        name="garbage-collected-in-the-midst-of-a-look-at-threads",
        file="threads.py",
        was="    gc.disable()\n",
        becomes="",
        breaks="stuck work stops nobody else",
        tests=("test_a_collection_of_garbage_stops_nobody_who_looks_where_a_thread_stands",),
    ),
)
