"""Faults that only another thread's step between two of one's own shows.

It must not know the other layers.
"""

from __future__ import annotations

from mutants.fault import Fault

FAULTS = (
    Fault(
        name="claim-asked-for-twice",
        file="worker.py",
        was="        return claim\n\n    def update_job_progress",
        becomes="        return self._claim  # type: ignore[return-value]\n\n    def update_job_progress",
        breaks="a thread of a job's code gets its claim or is told that there is none",
        tests=("test_a_thread_of_a_jobs_code_may_ask_for_the_claim_at_its_end",),
    ),
    Fault(
        name="commit-asked-for-twice",
        file="stores/files/hold.py",
        was="            committing.alone(partial",
        becomes="            self._committing.alone(partial",
        breaks="a job is stored though its claim becomes durable at that moment",
        tests=("test_a_job_may_be_stored_at_the_moment_at_which_its_claim_becomes_durable",),
    ),
    Fault(
        name="bell-asked-for-twice",
        file="stores/files/watch.py",
        was="        return bell is not None and bell.is_armed\n",
        becomes="        return bell is not None and self._bell.is_armed\n",
        breaks="a thread that waits for jobs may meet a close",
        tests=("test_a_thread_that_waits_for_jobs_may_meet_a_close",),
    ),
    Fault(
        name="held-job-closed-by-a-commit",
        file="stores/files/deferred.py",
        was="        if has_ended:  # else",
        becomes="        if has_ended or hold:  # else",
        breaks="what a thread stores while a commit ends stays held",
        tests=("test_what_is_stored_while_a_commit_ends_stays_held",),
    ),
    Fault(
        name="close-forgets-who-let-go",
        file="stores/files/hold.py",
        was="        if self._is_at_work:\n            self._is_closing = False\n",
        becomes="        if self._is_at_work:\n            self._is_closing = self._is_over = False\n",
        breaks="a hold that is over stores nothing more",
        tests=("test_a_thread_that_lets_go_as_the_store_is_closed_stores_nothing_more",),
    ),
    Fault(
        name="dropped-ones-gone-through",
        file="open_claims.py",
        was="(*self._dropped.copy(), *self.all())",
        becomes="(*self._dropped, *self.all())",
        breaks="a claim may be dropped while all are given back",
        tests=("test_a_claim_may_be_dropped_while_all_are_given_back",),
    ),
    Fault(
        name="new-claim-forgotten-with-the-last",
        file="threads.py",
        was="        shared.setdefault(key, gone)\n",
        becomes="        pass\n",
        breaks="a queue looks after every claim",
        tests=("test_a_claim_that_begins_while_the_last_one_on_its_job_is_forgotten_is_known",),
    ),
    Fault(
        name="bad-entry-forgotten-by-a-listing",
        file="stores/files/pending.py",
        was="        self._listing_took = self._listed_at - begun\n",
        becomes="        self._listing_took = self._listed_at - begun\n        self._has_bad = False\n",
        breaks="what cannot be read for a moment is looked at again",
        tests=("test_a_job_that_cannot_be_read_for_a_moment_is_looked_at_again",),
    ),
    Fault(
        name="new-start-forgotten-by-a-listing",
        file="stores/files/pending.py",
        was="        self._listing_took = self._listed_at - begun\n",
        becomes="        self._listing_took = self._listed_at - begun\n        self._is_wanted = False\n",
        breaks="after an interrupt everything is read again",
        tests=("test_after_an_interrupt_in_the_midst_of_a_listing_everything_is_read_again",),
    ),
    Fault(
        name="closed-journal-not-synced",
        file="stores/files/journal/journal.py",
        was="                    self._current.force(self._current.end)\n",
        becomes="                    pass\n",
        breaks="who has written to a journal that is closed is not refused",
        tests=("test_what_is_written_as_a_journal_is_closed_that_must_stay_is_acknowledged",),
    ),
    Fault(
        name="emptied-journal-taken-for-removed",
        file="stores/files/journal/journal.py",
        was="        old.is_superfluous = True\n",
        becomes="",
        breaks="what is synced while its journal is emptied is durable",
        tests=("test_what_is_synced_while_its_journal_is_emptied_is_not_written_again",),
    ),
    Fault(
        name="stuck-journal-missed",
        file="stores/files/journal/journal.py",
        was="in (*self._stuck, self._current, self._old, *self._stuck):\n",
        becomes="in (self._current, self._old, *self._stuck):\n",
        breaks="after a lost write all that stands is kept",
        tests=("test_a_journal_that_is_tried_again_while_a_write_is_lost_is_kept",),
    ),
    Fault(
        name="flags-of-two-stops",
        file="keeper.py",
        was="            if stop is self._stop:",
        becomes="            if stop is stop:",
        breaks="a keeper can be stopped",
        tests=("test_one_that_is_started_between_two_stops_can_be_stopped",),
    ),
    Fault(
        name="type-registered-over-another",
        file="job_types.py",
        was="        if self._by_name.setdefault(job_type.name, job_type) is not job_type:\n",
        becomes="        self._by_name[job_type.name] = job_type\n        if not job_type:\n",
        breaks="a job type has one meaning",
        tests=("test_of_two_types_of_one_name_or_class_the_first_stays[name]",),
    ),
)
