"""Faults of the file store's journal: what goes into it, when it may go, what is replayed.

It must not know the other layers.
"""

from __future__ import annotations

from mutants.fault import Fault

FAULTS = (
    # -- writing -------------------------------------------------------------------------
    Fault(
        name="journal-not-forced",
        file="stores/files/journal/journal.py",
        was="        if segment is not None:\n            self._force(segment, end)\n",
        becomes="",
        breaks="what is acknowledged is in the journal, durably",
        tests=("test_each_verb_is_forced_once_and_a_claim_of_what_was_just_written_not_at_all",),
    ),
    Fault(
        name="claim-left-out-of-the-journal",
        file="stores/files/journal/by_journal.py",
        was='elif job.status != "running" or not self.journal.has(job, job.metadata.revision - 1):',
        becomes='elif job.status != "running":',
        breaks="no step removes the last durable copy of a job",
        tests=(
            "test_a_claim_of_what_another_process_wrote_is_in_the_journal_before_the_file_goes",
        ),
    ),
    Fault(
        name="removal-left-out-of-the-journal",
        file="stores/files/store.py",
        was="        self._journal.remove({job.metadata.id: at for job in jobs})\n",
        becomes="        dict.fromkeys(jobs, at)\n",
        breaks="a removal is told before the file goes",
        tests=("test_a_removal_is_told_before_the_file_goes",),
    ),
    Fault(
        name="faulty-journal-written-on",
        file="stores/files/journal/segment.py",
        was="return not self.is_faulty and self.end + size <= MOST_BYTES",
        becomes="return self.end + size <= MOST_BYTES",
        breaks="nothing more is written to a file that could not be forced",
        tests=(
            "test_what_could_not_be_forced_is_not_acknowledged_and_goes_to_another_file_next_time",
        ),
    ),
    Fault(
        name="journal-gone-before-files-are-forced",
        file="stores/files/journal/journal.py",
        was="            self._force_files(old)\n",
        becomes="",
        breaks="a record goes once the job's file is durable",
        tests=("test_a_full_file_goes_once_everything_is_forced",),
    ),
    # -- replaying -----------------------------------------------------------------------
    Fault(
        name="damaged-record-believed",
        file="stores/files/journal/records.py",
        was="len(body) != length or zlib.crc32(body) != checksum",
        becomes="len(body) != length",
        breaks="a byte that changed ends the journal",
        tests=("test_a_byte_that_changed_ends_the_journal",),
    ),
    Fault(
        name="older-record-replayed",
        file="stores/files/journal/replay.py",
        was="(other.revision, other.at) < (record.revision, record.at)",
        becomes="(other.revision, other.at) > (record.revision, record.at)",
        breaks="of several records the highest revision counts",
        tests=("test_of_several_journals_the_highest_revision_counts",),
    ),
    Fault(
        name="replayed-over-a-file-as-new",
        file="stores/files/journal/replay.py",
        was="found.revision >= record.revision or",
        becomes="found.revision > record.revision or",
        breaks="a readable file of the same revision wins",
        tests=("test_a_readable_file_of_the_same_revision_wins",),
    ),
    Fault(
        name="removed-job-replayed",
        file="stores/files/journal/replay.py",
        was="if record.text is None or record.at <= removed.get(record.job_id, -1):",
        becomes="if record.text is None:",
        breaks="a removed job does not come back",
        tests=("test_a_removed_job_does_not_come_back",),
    ),
    Fault(
        name="death-of-a-process-replayed",
        file="stores/files/journal/replay.py",
        was="if self._standing.header(name).boot != boot.current():",
        becomes="if self._standing.header(name).boot:",
        breaks="only a start of the machine replays",
        tests=("test_the_death_of_a_process_alone_replays_nothing",),
    ),
    Fault(
        name="kept-journal-retired",
        file="stores/files/journal/replay.py",
        was="if not one.is_of_this_boot or one.header.is_kept:",
        becomes="if not one.is_of_this_boot:",
        breaks="what could not be made durable otherwise stays in its journal",
        tests=("test_a_kept_journal_is_replayed_at_the_next_start_of_the_machine",),
    ),
    # -- beside others -------------------------------------------------------------------
    Fault(
        name="removal-of-a-dead-process-dated-anew",
        file="stores/files/journal/replay.py",
        was="journal.remove(_removed(self._records(one)))",
        becomes="journal.remove(dict.fromkeys(_removed(self._records(one)), 2**63))",
        breaks="a removal is of the job that there was then",
        tests=("test_a_removal_that_a_dead_process_told_of_is_not_of_a_job_created_after_it",),
    ),
    Fault(
        name="replayed-journals-go-one-by-one",
        file="stores/files/journal/replay.py",
        was="if len(dead) > 1 and removed:",
        becomes="if len(dead) > 99 and removed:",
        breaks="a replay that dies brings nothing back",
        tests=("test_a_replay_that_dies_between_two_journals_brings_nothing_back",),
    ),
    Fault(
        name="removed-job-wins-over-the-next",
        file="stores/files/journal/replay.py",
        was="if was_removed and found.created < job.metadata.created:",
        becomes="if was_removed and found.created > job.metadata.created:",
        breaks="a job created again wins over the one that was removed",
        tests=("test_a_job_created_again_wins_over_the_one_whose_removal_was_not_durable",),
    ),
    Fault(
        name="claim-relies-on-a-void-record",
        file="stores/files/journal/journal.py",
        was="segment.revisions.pop(job_id, None)",
        becomes="segment.revisions.get(job_id)",
        breaks="a claim needs a record unless one counts",
        tests=("test_a_claim_of_a_job_that_left_and_came_back_is_in_the_journal",),
    ),
    Fault(
        name="batch-told-of-after-its-end",
        file="stores/files/journal/by_journal.py",
        was="            self._tell_of_the_removed([job.metadata.id for job, _text in fit])\n",
        becomes="",
        breaks="what is finished and removed does not come back",
        tests=(
            "test_a_batch_told_of_after_its_jobs_were_over_and_removed_does_not_bring_them_back",
        ),
    ),
    Fault(
        name="what-was-not-removed-not-forced",
        file="stores/files/upkeep.py",
        was="                self._moves.secure(hold.job)\n",
        becomes="                _ = hold.job\n",
        breaks="a job that could not be removed is durable",
        tests=("test_a_job_whose_removal_the_disk_refused_is_durable_still",),
    ),
    Fault(
        name="loss-forgotten-with-one-file",
        file="stores/files/journal/journal.py",
        was="                self.doubt()\n",
        becomes="                old.is_doubtful = True\n",
        breaks="after a lost write all that stands is kept",
        tests=("test_when_the_disk_has_lost_a_write_the_file_at_hand_is_kept_too",),
    ),
    Fault(
        name="loss-told-to-the-sweep-forgotten",
        file="stores/files/journal/replay.py",
        was="            journal.doubt()\n",
        becomes="",
        breaks="after a lost write all that stands is kept",
        tests=("test_what_a_sweep_learns_of_lost_writes_keeps_the_journal_at_hand",),
    ),
    Fault(
        name="told-on-for-every-kept-file",
        file="stores/files/journal/told_on.py",
        was="return name not in self._of_kept or job_id in self._of_kept[name]",
        becomes="return True",
        breaks="what is told on does not grow for ever",
        tests=(
            "test_removals_are_not_told_on_for_the_sake_of_a_kept_file_that_says_nothing_of_the_job",
        ),
    ),
    Fault(
        name="told-on-for-ever",
        file="stores/files/journal/journal.py",
        was="return current.end > self._carried or not self._told_on",
        becomes="return current.end > self._carried",
        breaks="a file that has nothing to say goes",
        tests=("test_a_file_that_only_told_on_of_removals_goes_with_what_they_were_told_for",),
    ),
    Fault(
        name="stuck-journals-not-tried-again",
        file="stores/files/journal/journal.py",
        was="if self._old is None and self._stuck:",
        becomes="if self._old is not None and self._stuck:",
        breaks="a queue goes on once there are descriptors again",
        tests=("test_a_journal_goes_on_once_there_are_descriptors_again",),
    ),
    Fault(
        name="forgotten-queue-keeps-its-file",
        file="stores/files/journal/segment.py",
        was="        weakref.finalize(self, HELD.close, descriptor, disk.close).atexit = False\n",
        becomes="",
        breaks="descriptors do not leak",
        tests=("test_a_forgotten_queue_lets_go_of_its_journal",),
    ),
    Fault(
        name="closed-queue-keeps-its-file",
        file="stores/files/journal/journal.py",
        was="if self._is_closed:  # a verb",
        becomes="if False:  # a verb",
        breaks="a closed queue leaves no journal",
        tests=("test_a_verb_that_ends_after_its_queue_was_closed_leaves_no_journal_locked",),
    ),
)
