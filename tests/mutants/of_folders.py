"""Faults of the file store: what it knows of its folders, and what in them is no job.

It must not know the other layers.
"""

from __future__ import annotations

from mutants.fault import Fault

FAULTS = (
    # -- what to try next ----------------------------------------------------------------
    Fault(
        name="index-forgets",
        file="stores/files/claiming.py",
        was="                    self._pending.index.give_back(entry, wanted)\n            if hold",
        becomes="                    pass\n            if hold",
        breaks="a job that could not be taken now is offered again",
        tests=("test_a_claim_with_no_descriptor_free_is_an_error_and_goes_on_when_there_is_one",),
    ),
    Fault(
        name="claim-trusts-the-index",
        file="stores/files/claiming.py",
        was="if not metadata.is_due(now) or not wanted.covers(metadata.type, metadata.queue):",
        becomes="if not wanted.covers(metadata.type, metadata.queue):",
        breaks="a job is not claimed before its time",
        tests=("test_a_job_that_was_put_off_further_elsewhere_is_not_claimed_too_soon",),
    ),
    Fault(
        name="mtime-taken-at-its-word",
        file="stores/files/pending.py",
        was="(self._is_unsettled and age >= MTIME_GRAIN)",
        becomes="(self._is_unsettled and age < 0)",
        breaks="a job created in the clock tick of a listing is seen",
        tests=("test_a_job_created_in_the_clock_tick_of_a_listing_is_seen",),
    ),
    Fault(
        name="looked-at-between-two-looks",
        file="stores/files/pending.py",
        was=" or now - self._unchanged_at < rest:",
        becomes=":",
        breaks="a worker that was idle begins a job of its own process at once",
        tests=(
            "test_who_has_just_seen_that_nothing_is_new_begins_a_job_of_its_process_without_a_look",
        ),
    ),
    Fault(
        name="a-large-folder-is-read-for-three-seconds-at-every-claim",
        file="stores/files/pending.py",
        was="min(seconds, time.monotonic() - self._read_at)",
        becomes="min(seconds, READ_AT_ONCE)",
        breaks="a large folder is read on beside the claims, for half of the time",
        tests=(
            "test_a_large_folder_is_read_on_for_half_of_the_time_while_there_is_something_to_claim",
        ),
    ),
    Fault(
        name="nothing-new-for-ever",
        file="stores/files/pending.py",
        was="        self._unchanged_at = looked_at\n",
        becomes='        self._unchanged_at = float("inf")\n',
        breaks="what came since the last look is seen at the next",
        tests=(
            "test_who_has_just_seen_that_nothing_is_new_begins_a_job_of_its_process_without_a_look",
        ),
    ),
    Fault(
        name="urgent-jobs-last",
        file="stores/files/index.py",
        was="            -turn.priority,\n",
        becomes="            turn.priority,\n",
        breaks="higher priority goes first",
        tests=("TestFiles::test_jobs_come_by_priority_then_due_time_then_creation_then_id",),
    ),
    # -- what is no job ------------------------------------------------------------------
    Fault(
        name="bad-entries-deleted",
        file="stores/files/quarantine.py",
        was="            self._disk.rename(path, target)\n",
        becomes="            self._disk.unlink(path)\n",
        breaks="what cannot be read is kept",
        tests=("TestFiles::test_what_was_set_aside_is_kept_whole_beside_its_reason",),
    ),
    Fault(
        name="no-grace-for-writers",
        file="stores/files/copies.py",
        was="return seen - suspect.since >= self.grace",
        becomes="return seen - suspect.since >= 0.0",
        breaks="a job that is being rewritten is not called bad",
        tests=("test_a_waiting_job_that_is_being_rewritten_is_claimed_when_whole",),
    ),
    Fault(
        name="symlinks-followed",
        file="stores/files/door.py",
        was='getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)',
        becomes='getattr(os, "O_NONBLOCK", 0)',
        breaks="a symlink under a job's name is not followed",
        tests=("test_what_is_no_file_is_set_aside_unopened_and_unfollowed[symlink-pending]",),
    ),
    Fault(
        name="foreign-work-taken-at-once",
        file="stores/files/upkeep.py",
        was="return now.timestamp() - copy.found.st_mtime < stale_after.total_seconds()",
        becomes="return copy.found is None",
        breaks="a job that the TypeScript side runs is left alone until stale",
        tests=("test_a_running_job_without_a_claim_is_left_alone_until_it_is_stale",),
    ),
    Fault(
        name="locked-left-overs-swept",
        file="stores/files/sweep.py",
        was="            if self._disk.lock(descriptor.fd):\n",
        becomes="            if descriptor.fd >= 0:\n",
        breaks="a file that is being written is not swept away",
        tests=("test_young_and_locked_left_overs_stay",),
    ),
    Fault(
        name="open-folders-accepted",
        file="stores/files/layout.py",
        was="elif found.st_mode & stat.S_IWOTH:",
        becomes="elif not found.st_mode:",
        breaks="a folder that everyone may write to is refused",
        tests=("test_a_folder_that_everyone_may_write_to_is_refused",),
    ),
    # -- threads that create together ----------------------------------------------------
    Fault(
        name="each-forced-for-itself",
        file="stores/files/journal/by_journal.py",
        was="            self.journal.write(fit)\n\n    def _is_told_of",
        becomes="            for each in fit:\n                self.journal.write([each])\n\n    def _is_told_of",
        breaks="one forcing serves all who create at once",
        tests=("test_one_forcing_of_the_journal_serves_all[with_gil]",),
    ),
    Fault(
        name="party-not-forced",
        file="stores/files/creating.py",
        was="                moves.forcing.all_published(\n",
        becomes="                tuple(\n",
        breaks="whoever is served gets an error where the disk forces nothing",
        tests=("test_where_the_disk_does_not_force_their_record_none_is_created[5]",),
    ),
    Fault(
        name="party-not-retracted",
        file="stores/files/creating.py",
        was="                    self._moves.retract(new.job.metadata.id)\n",
        becomes="                    pass\n",
        breaks="a job whose creation failed is not there",
        tests=("test_where_the_disk_does_not_force_their_record_none_is_created[5]",),
    ),
    Fault(
        name="error-of-another",
        file="stores/files/creating.py",
        was="                    new.error = _checked(error)\n            try",
        becomes="                    raise\n            try",
        breaks="what one does wrong is not the error of all who create at once",
        tests=("test_what_one_of_them_does_wrong_is_its_own_error",),
    ),
    Fault(
        name="interrupt-for-all",
        file="stores/files/creating.py",
        was="            except (OSError, SemiontJobsError) as error:\n                refusal",
        becomes="            except BaseException as error:\n                refusal",
        breaks="an interrupt of one thread is not another's",
        tests=("test_an_interrupt_while_all_are_forced_leaves_the_others_to_create_theirs_again",),
    ),
    Fault(
        name="list-short-of-what-moved",
        file="stores/files/reader.py",
        was="                elsewhere.append(outline.id)\n",
        becomes="",
        breaks="a job that moves while a list is made is shown",
        tests=("test_a_job_that_moves_between_its_two_readings_is_shown_where_it_is",),
    ),
    Fault(
        name="list-trusts-the-outlines",
        file="stores/files/reader.py",
        was="            if len(found) >= most:\n                break\n",
        becomes="            if outline is outlines[most:][:1]:\n                break\n",
        breaks="a list decodes as many files as it shows",
        tests=("test_a_list_decodes_as_many_files_as_it_shows",),
    ),
    Fault(
        name="what-looks-like-a-job-waited-for-one-by-one",
        file="stores/files/reader.py",
        was="                self._note_bad(outline.status, outline.id, copy)\n",
        becomes="",
        breaks="a list waits for invalid files together",
        tests=("test_files_that_look_like_jobs_are_waited_for_together",),
    ),
)
