"""Faults of the PostgreSQL store: its fence, its lock, its news.

It must not know the other layers.
"""

from __future__ import annotations

from mutants.fault import Fault

FAULTS = (
    Fault(
        name="fence-without-a-token",
        file="stores/postgres/rows.py",
        was="(revision = %(base)s AND token IS NOT DISTINCT FROM %(base_token)s)",
        becomes="(revision >= %(base)s)",
        breaks="a superseded holder can change nothing",
        tests=("TestPostgres::test_a_superseded_claim_can_change_nothing",),
    ),
    Fault(
        name="owner-not-asked",
        file="stores/postgres/taking.py",
        was="return row == (True,)",
        becomes="return row is not None",
        breaks="a job whose holder's lock stands is nobody else's",
        tests=("TestPostgres::test_a_job_held_elsewhere_is_refused",),
    ),
    Fault(
        name="locked-rows-waited-for",
        file="stores/postgres/rows.py",
        was="{_ORDER} LIMIT 1 FOR UPDATE SKIP LOCKED",
        becomes="{_ORDER} LIMIT 1 FOR UPDATE",
        breaks="a job that somebody has locked blocks nobody behind it",
        tests=("test_a_job_that_somebody_has_locked_keeps_nobody_from_those_behind_it",),
    ),
    Fault(
        name="request-kept-for-the-next-life",
        file="stores/postgres/rows.py",
        was="asked = asked AND %(keeps_asked)s",
        becomes="asked = asked",
        breaks="a request to cancel hits one life of a job",
        tests=("TestPostgres::test_a_request_never_hits_a_later_life",),
    ),
    Fault(
        name="nobody-woken",
        file="stores/postgres/hold.py",
        was='            session.execute(self._office.statements.notify, [""])\n',
        becomes="            pass\n",
        breaks="a job that is given back wakes an idle worker",
        tests=("test_what_another_queue_object_brings_wakes_an_idle_worker[release]",),
    ),
    Fault(
        name="outcome-in-doubt-forgotten",
        file="stores/postgres/hold.py",
        was='            self._tried.append(values["revision"])\n',
        becomes="",
        breaks="an outcome whose answer was lost is replaced by the next try",
        tests=("test_an_outcome_whose_answer_was_lost_is_replaced_by_the_next_try",),
    ),
    Fault(
        name="silent-owner-never-gives-up",
        file="stores/postgres/liveness.py",
        was="if self._is_held or time.monotonic() - self._heard_at < GIVE_UP:",
        becomes="if self._is_held or time.monotonic() >= self._heard_at:",
        breaks="an owner that was cut off is told before its job is another's",
        tests=("test_an_owner_behind_a_silent_line_is_told_before_its_job_can_be_taken",),
    ),
)
