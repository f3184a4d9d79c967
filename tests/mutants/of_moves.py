"""Faults of the file store: its locks, its moves, what it forces to the disk.

It must not know the other layers.
"""

from __future__ import annotations

from mutants.fault import Fault

FAULTS = (
    # -- who may act on a job: its lock --------------------------------------------------
    Fault(
        name="publish-unlocked",
        file="stores/files/moves.py",
        was="if not self.disk.lock(descriptor.fd):",
        becomes="if descriptor.fd < 0:",
        breaks="a running job's file is its lock",
        tests=("TestFiles::test_a_live_holder_never_loses_its_job_however_slow_it_is",),
    ),
    Fault(
        name="create-unlocked",
        file="stores/files/moves.py",
        was="        temporary, descriptor = self.write_temporary(data)\n        self.pub",
        becomes="        temporary, descriptor = self.write_temporary(data)\n"
        "        self.copies.close(descriptor)\n"
        "        descriptor = HELD.open(self.disk.open, temporary)\n        self.pub",
        breaks="nobody touches a job that is being created",
        tests=("test_c10_a_create_that_will_be_refused_cannot_be_claimed",),
    ),
    Fault(
        name="unlock-early",
        file="stores/files/moves.py",
        was="        path = self.layout.path(status, job_id)\n        if not is_late or",
        becomes="        path = self.layout.path(status, job_id)\n        self.copies.close(held)\n"
        "        if not is_late or",
        breaks="the old copy is held until its name is gone",
        tests=("test_c2_a_mover_lets_go_of_the_old_copy_only_when_its_name_is_gone",),
    ),
    Fault(
        name="lock-not-looked-at",
        file="stores/files/copies.py",
        was="if self.disk.lock(descriptor.fd):",
        becomes="if self.disk.lock(descriptor.fd) is not None:",
        breaks="a live holder never loses its job",
        tests=("TestFiles::test_a_live_holder_never_loses_its_job_however_slow_it_is",),
    ),
    Fault(
        name="ghost-taken-for-the-job",
        file="stores/files/copies.py",
        was="kept = self._names(path, descriptor.found)",
        becomes="kept = True",
        breaks="a lock counts only while its path names the locked file",
        tests=("test_c9_a_job_that_was_removed_while_somebody_opened_it_does_not_return",),
    ),
    Fault(
        name="forked-child-keeps-locks",
        file="stores/files/descriptors.py",
        was="            with suppress(OSError):\n                os.close(fd)\n",
        becomes="",
        breaks="the lock dies with the worker, whoever it has forked",
        tests=("test_a_child_that_outlives_a_killed_worker_does_not_keep_its_job",),
    ),
    Fault(
        name="what-others-moved-is-not-noticed",
        file="stores/files/moves.py",
        was="if not self.copies.stands(held, self.layout.path(status, job_id)):",
        becomes="if held.fd is None:",
        breaks="a job that a foreign hand took is not copied",
        tests=("test_an_outcome_notices_by_itself_that_another_program_took_the_job",),
    ),
    # -- how a job moves: write, publish, remove -----------------------------------------
    Fault(
        name="unlink-then-write",
        file="stores/files/hold.py",
        was="        if job.status == self.job.status:\n            self._rewrite(job, data)\n        else:\n",
        becomes="        if job.status == self.job.status:\n            self._rewrite(job, data)\n        else:\n"
        "            self._moves.discard(self._moves.layout.path(self.job.status, job.metadata.id))\n",
        breaks="at every instant a whole copy stands",
        tests=("test_c15_c16_a_move_that_ends_at_any_step_leaves_whole_copies_and_one_true_one",),
    ),
    Fault(
        name="keep-the-running-copy",
        file="stores/files/moves.py",
        was="            self.discard(path)\n            self.secure_absence(status)\n",
        becomes="            self.secure_absence(status)\n",
        breaks="a job stands in one folder",
        tests=("TestFiles::test_nothing_but_job_files_is_left_in_the_five_folders",),
    ),
    Fault(
        name="replace-in-pending",
        file="stores/files/moves.py",
        was="self.disk.link(temporary, target)\n            except FileExistsError:\n"
        "                self._clear_pending",
        becomes="self.disk.rename(temporary, target)\n            except FileExistsError:\n"
        "                self._clear_pending",
        breaks="nothing in pending is ever replaced",
        tests=("test_a_law_is_broken_by_some_schedule_only_without_the_rule[c5]",),
    ),
    Fault(
        name="create-looks-once",
        file="stores/files/moves.py",
        was="self.check_absent(job_id, STATUSES[1:])",
        becomes="self.check_absent(job_id, STATUSES[5:])",
        breaks="of two creators of one id one wins",
        tests=("test_c10_of_two_creators_the_later_is_refused_although_the_job_left_pending",),
    ),
    # -- two copies ----------------------------------------------------------------------
    Fault(
        name="other-copies-not-looked-for",
        file="stores/files/settling.py",
        was="if other != status and self.disk.exists(",
        becomes="if other == status and self.disk.exists(",
        breaks="a finished job's left-over copy does not run",
        tests=("test_c7_a_job_whose_worker_died_after_completing_it_is_not_rescued",),
    ),
    Fault(
        name="lower-revision-wins",
        file="stores/files/settling.py",
        was="if theirs > ours:\n            # Mine is debris",
        becomes="if theirs < ours:\n            # Mine is debris",
        breaks="of two copies the higher revision is the true one",
        tests=("test_c8_cancelling_a_job_whose_rescuer_died_cancels_the_rescued_copy",),
    ),
    Fault(
        name="busy-copy-not-respected",
        file="stores/files/settling.py",
        was='if other == BUSY or isinstance(other, Bad):\n            return "busy"',
        becomes='if other == BUSY or isinstance(other, Bad):\n            return "stays"',
        breaks="a job of which somebody holds a copy is left alone",
        tests=("test_c4_a_job_whose_lower_copy_is_in_other_hands_is_left_alone",),
    ),
    Fault(
        name="reader-takes-the-lower-copy",
        file="stores/files/reader.py",
        was="_revision(copy) > _revision(best)",
        becomes="_revision(copy) < _revision(best)",
        breaks="an outcome is seen as soon as it stands",
        tests=("test_c7_the_outcome_of_a_worker_that_died_after_it_is_what_readers_see",),
    ),
    Fault(
        name="reader-looks-once",
        file="stores/files/reader.py",
        was="if best is not None and self._still_stands(best):",
        becomes="if best is not None:",
        breaks="a reader tells of no copy that has gone meanwhile",
        tests=("test_c17_a_reader_does_not_tell_of_a_copy_that_went_while_it_looked",),
    ),
    Fault(
        name="request-for-every-life",
        file="stores/files/markers.py",
        was='return f"{self._folder}/{job_id}.{name_of_life(life)}"',
        becomes='return f"{self._folder}/{job_id}.{len(life) * 0}"',
        breaks="a request to cancel hits one life of a job",
        tests=("test_c11_a_request_meant_for_one_life_does_not_hit_the_next",),
    ),
    # -- what survives a power cut -------------------------------------------------------
    Fault(
        name="move-without-file-fsync",
        file="stores/files/forcing.py",
        was="        self.disk.fsync(fd)\n"
        "        self.disk.fsync_folder(self.layout.folders[job.status])",
        becomes="        self.disk.fsync_folder(self.layout.folders[job.status])",
        breaks="a moved job's content survives a power cut",
        tests=("test_c18_a_move_forces_the_new_file_and_its_folder_before_the_old_name_goes",),
    ),
    Fault(
        name="move-without-folder-fsync",
        file="stores/files/forcing.py",
        was="        self.disk.fsync(fd)\n"
        "        self.disk.fsync_folder(self.layout.folders[job.status])",
        becomes="        self.disk.fsync(fd)",
        breaks="a moved job's name survives a power cut",
        tests=("test_c18_a_move_forces_the_new_file_and_its_folder_before_the_old_name_goes",),
    ),
    Fault(
        name="rewrite-without-fsync",
        file="stores/files/forcing.py",
        was="fd: int) -> None:\n        self.disk.fsync(fd)\n\n    def replaced",
        becomes="fd: int) -> None:\n        pass\n\n    def replaced",
        breaks="a checkpoint replaces the last one only when it is durable",
        tests=("test_c18_a_rewrite_forces_the_new_file_before_it_replaces_the_old",),
    ),
    Fault(
        name="create-interrupted-after-its-link",
        file="stores/files/moves.py",
        was="published = published or self.copies.stands(descriptor, path)",
        becomes="pass",
        breaks="a create that raised is not seen",
        tests=("test_a_job_whose_creator_is_interrupted_right_after_the_link_is_gone",),
    ),
    Fault(
        name="create-not-forced",
        file="stores/files/moves.py",
        was="            self.forcing.published(job, data, descriptor.fd)\n            return",
        becomes="            return",
        breaks="an acknowledged create survives a power cut",
        tests=("test_a_create_is_forced_before_it_is_acknowledged",),
    ),
    Fault(
        name="batch-published-before-it-is-durable",
        file="stores/files/batch.py",
        was="        moves.forcing.batch_written([path for _job_id, path in written])\n",
        becomes="",
        breaks="an acknowledged batch survives a power cut",
        tests=("test_a_batch_is_forced_by_one_syncfs_before_and_one_folder_after_it_is_published",),
    ),
    Fault(
        name="settle-without-fsync",
        file="stores/files/settling.py",
        was="        if self.forcing.is_durable:\n            self.disk.fsync(held.fd)\n",
        becomes="        if self.forcing.is_durable:\n",
        breaks="the copy that stays is durable before the other goes",
        tests=("test_c18_settling_forces_the_copy_that_stays_before_the_older_one_goes",),
    ),
    Fault(
        name="clean-before-folders-are-durable",
        file="stores/files/removals.py",
        was="        if has_journals or self._forcing.is_durable:\n",
        becomes="        if has_journals:\n",
        breaks="a power cut brings no finished job back to run",
        tests=(
            "test_c18_cleaning_forces_all_five_folders_before_the_first_unlink_and_one_after_the_last",
        ),
    ),
    Fault(
        name="failed-fsync-repeated",
        file="stores/files/door.py",
        was="tells of a lost write only once.\n            self._folders.pop(folder, None)\n",
        becomes="tells of a lost write only once.\n",
        breaks="an fsync that failed is not made again on that descriptor",
        tests=("test_a_folder_whose_names_could_not_be_forced_is_opened_anew",),
    ),
    # -- closing -------------------------------------------------------------------------
    Fault(
        name="let-go-in-the-midst",
        file="stores/files/store.py",
        was="            hold.let_go_if_idle()\n",
        becomes="            hold.let_go()\n",
        breaks="what a thread is just storing it has still, though the store is closed",
        tests=(
            "test_wherever_the_store_is_closed_nothing_is_lost_and_nobody_elses_is_taken"
            "[claim-process]",
        ),
    ),
    Fault(
        name="moved-though-let-go",
        file="stores/files/hold.py",
        was="            self._check_held()\n            # No program",
        becomes="            # No program",
        breaks="what was let go of is somebody else's",
        tests=(
            "test_wherever_the_store_is_closed_nothing_is_lost_and_nobody_elses_is_taken"
            "[claim-process]",
        ),
    ),
    Fault(
        name="interrupted-creator-served-by-others",
        file="stores/files/creating.py",
        was="            own.is_withdrawn = own.found is None\n            raise\n",
        becomes="            raise\n",
        breaks="a job whose creator was interrupted is created by nobody else",
        tests=("test_what_a_signals_handler_raises_is_raised_in_its_thread",),
    ),
    Fault(
        name="job-taken-at-once-refused",
        file="stores/files/moves.py",
        was='            if self.copies.stands(descriptor, self.layout.path("pending", job_id)):\n'
        "                raise\n",
        becomes="            raise\n",
        breaks="a job that a worker without locks took at once is no other",
        tests=(
            "test_a_job_that_a_worker_without_locks_took_and_finished_before_the_look_is_no_other",
        ),
    ),
    Fault(
        name="memory-looks-once",
        file="stores/memory.py",
        was="                        has_lost = True  # to another",
        becomes="                        has_lost = False  # to another",
        breaks="where another thread was faster, a claim looks again",
        tests=("test_a_job_lost_to_a_thread_that_put_in_the_next_is_no_reason_to_find_none",),
    ),
)
