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
    Fault(
        name="document-copied-as-bytes",
        file="stores/postgres/creating.py",
        was="""f"\\\\x{row['document'].hex()}\"""",
        becomes="row['document']",
        breaks="a batch is stored as it is, whatever the caller's session takes backslashes for",
        tests=("test_documents_are_written_whatever_backslashes_mean[caller-5]",),
    ),
    Fault(
        name="changed-row-left-as-it-is",
        file="stores/postgres/claiming.py",
        was="                    _set_right(office, session, job, document)\n",
        becomes="",
        breaks="a row whose columns somebody changed keeps no claimer busy for ever",
        tests=(
            "test_a_row_whose_columns_were_changed_is_set_right_and_blocks_nobody[first-queue]",
        ),
    ),
    # -- closing -------------------------------------------------------------------------
    Fault(
        name="closed-under-a-thread-that-stores",
        file="stores/postgres/hold.py",
        was="        if not self._is_at_work:\n",
        becomes="        if True:\n",
        breaks="who closes a queue touches no session that another thread is using",
        tests=(
            "test_wherever_it_is_closed_the_verb_ends_and_nothing_is_lost_or_taken_for_an_orphan[claim-store]",
        ),
    ),
    Fault(
        name="lock-gone-before-the-last-claim",
        file="stores/postgres/hold.py",
        was="if self.is_over and not self.holds:",
        becomes="if self.is_over:",
        breaks="a claim that outlives the close of its store is not taken for an orphan",
        tests=(
            "test_wherever_it_is_closed_the_verb_ends_and_nothing_is_lost_or_taken_for_an_orphan[claim-store]",
        ),
    ),
    Fault(
        name="claimed-of-a-closed-store",
        file="stores/postgres/hold.py",
        was="            if self._office.is_over:\n",
        becomes="            if False:\n",
        breaks="nothing is claimed without the lock that says that the process lives",
        tests=("test_a_claim_in_whose_midst_the_store_is_closed_is_none",),
    ),
    Fault(
        name="verb-stopped-by-a-close",
        file="stores/postgres/sessions.py",
        was="            if not pool.closed:\n                raise\n",
        becomes="            raise\n",
        breaks="a verb under way when its queue is closed goes on to its end",
        tests=(
            "test_a_verb_that_finds_the_store_just_closed_goes_on_with_a_connection_of_its_own",
        ),
    ),
    Fault(
        name="list-short-of-what-is-no-job",
        file="stores/postgres/store.py",
        was="            if len(found) >= most or len(rows) < asked:\n",
        becomes="            if True:\n",
        breaks="rows that are no jobs take no place in a list",
        tests=("test_rows_that_are_no_jobs_take_no_place_in_a_list",),
    ),
    Fault(
        name="list-trusts-the-columns",
        file="stores/postgres/store.py",
        was=" and filters.match(job)]",
        becomes="]",
        breaks="a changed row is listed as what it is",
        tests=("test_a_row_whose_columns_were_changed_is_listed_as_what_it_is",),
    ),
    Fault(
        name="oldest-first-in-a-database",
        file="stores/postgres/rows.py",
        was="ORDER BY created DESC, id LIMIT",
        becomes="ORDER BY created, id LIMIT",
        breaks="a page is a part of the whole list",
        tests=("test_a_list_decodes_as_many_jobs_as_it_shows",),
    ),
    Fault(
        name="list-asks-for-names-as-they-are",
        file="stores/postgres/store.py",
        was="value and text(value)",
        becomes="value",
        breaks="names that a column holds in another form are found",
        tests=("test_names_that_a_column_holds_in_another_form_are_found",),
    ),
)
