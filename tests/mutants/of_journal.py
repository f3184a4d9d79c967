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
        was='        assert segment is not None, "nothing to write"\n        segment.force(end)\n',
        becomes='        assert segment is not None, "nothing to write"\n',
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
        file="stores/files/journal/by_journal.py",
        was="        self.journal.remove(job.metadata.id for job in jobs)\n",
        becomes="        list(jobs)\n",
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
        was="if record.at <= removed.get(record.job_id, -1):",
        becomes="if record.at <= removed.get(record.job_id, -1) - record.at:",
        breaks="a removed job does not come back",
        tests=("test_a_removed_job_does_not_come_back",),
    ),
    Fault(
        name="death-of-a-process-replayed",
        file="stores/files/journal/replay.py",
        was="if self._header(name).boot != boot.current():",
        becomes="if self._header(name).boot:",
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
)
