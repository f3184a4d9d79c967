"""Faults of what callers use: the queue's verbs, events, the transfer, the command line.

It must not know the other layers.
"""

from __future__ import annotations

from mutants.fault import Fault

FAULTS = (
    # -- verbs ---------------------------------------------------------------------------
    Fault(
        name="duplicate-id-accepted",
        file="stores/memory.py",
        was="                if job_id in self._records:\n",
        becomes="                if job_id in self._bad:\n",
        breaks="an id that exists is refused",
        tests=("TestMemory::test_an_id_that_exists_in_any_status_is_refused",),
    ),
    Fault(
        name="bad-job-in-a-batch",
        file="creating.py",
        was="        for job in jobs:\n            self._check_new(job)\n",
        becomes="        for job in jobs[:1]:\n            self._check_new(job)\n",
        breaks="a batch with one bad job creates none",
        tests=("test_a_batch_with_a_job_that_was_one_before_creates_none",),
    ),
    Fault(
        name="one-kept-keeps-the-others-of-its-batch",
        file="stores/files/batch.py",
        was="    except OSError:\n        return False\n    return True\n",
        becomes="    except OSError:\n        raise\n    return True\n",
        breaks="a batch is refused as a whole",
        tests=(
            "test_a_job_of_a_refused_batch_that_the_disk_keeps_keeps_no_other_and_goes_a_little_later",
        ),
    ),
    Fault(
        name="no-descriptor-left-to-take-back-with",
        file="stores/files/batch.py",
        was="            last = descriptor\n            moves.publish_new(job_id, path, descriptor, is_unseen=are_unseen)\n",
        becomes="            moves.publish_new(job_id, path, descriptor, is_unseen=are_unseen)\n            moves.copies.close(descriptor)\n",
        breaks="a batch is refused as a whole",
        tests=("test_a_batch_in_the_midst_of_which_the_last_descriptor_goes_is_taken_back",),
    ),
    Fault(
        name="too-large-and-held-for-ever",
        file="stores/files/claiming.py",
        was="            finally:\n                hold.let_go()\n",
        becomes="            finally:\n                pass\n            hold.let_go()\n",
        breaks="a job that cannot be set aside yet is free",
        tests=("test_a_job_that_is_too_large_to_be_claimed_and_cannot_be_set_aside_is_later",),
    ),
    Fault(
        name="batch-not-taken-back",
        file="stores/files/batch.py",
        was="        _take_back(moves, job_id)\n",
        becomes="        pass\n",
        breaks="a batch is refused as a whole",
        tests=("test_a_batch_whose_publication_is_refused_is_taken_back_and_works_later",),
    ),
    Fault(
        name="any-queue-will-do",
        file="store.py",
        was="self.queue is not None and queue != self.queue",
        becomes="self.queue is not None and queue == ''",
        breaks="only the asked queue is claimed from",
        tests=("TestMemory::test_only_the_asked_queue_is_claimed",),
    ),
    Fault(
        name="list-of-all-users",
        file="reading.py",
        was="(user_id is None or job.metadata.user_id == user_id)",
        becomes="(user_id is None or job.metadata.user_id != '')",
        breaks="a list is filtered by user",
        tests=("TestMemory::test_a_list_is_filtered_by_type_user_and_queue_together",),
    ),
    Fault(
        name="oldest-first",
        file="reading.py",
        was="key=lambda job: job.metadata.created, reverse=True",
        becomes="key=lambda job: job.metadata.created",
        breaks="a list has the newest first",
        tests=("TestMemory::test_a_list_is_newest_first_and_ties_by_id",),
    ),
    Fault(
        name="page-cut-short",
        file="reading.py",
        was="found[offset : offset + limit]",
        becomes="found[offset:limit]",
        breaks="a page has as many jobs as asked for",
        tests=("test_a_page_is_cut_from_the_newest",),
    ),
    Fault(
        name="cleaned-at-the-cutoff",
        file="stores/files/upkeep.py",
        was="job.completed_at >= self.before",
        becomes="job.completed_at > self.before",
        breaks="a job that ended at the cutoff stays",
        tests=("TestFiles::test_a_job_that_ended_at_the_cutoff_stays",),
    ),
    Fault(
        name="stale-update-accepted",
        file="updates.py",
        was="if current.metadata.revision != given.metadata.revision:",
        becomes="if current.metadata.revision < given.metadata.revision:",
        breaks="an update of what has changed since is refused",
        tests=("test_a_stale_object_is_refused",),
    ),
    Fault(
        name="old-status-ignored",
        file="updates.py",
        was="if old_status is not None and current.status != old_status:",
        becomes="if old_status is not None and not current.status:",
        breaks="a wrong old status is refused",
        tests=("test_a_wrong_old_status_is_refused",),
    ),
    Fault(
        name="running-jobs-cancelled-unasked",
        file="by_hand.py",
        was="        if job.status not in statuses:\n            return False\n        asked",
        becomes="        asked",
        breaks="a job taken meanwhile is left alone where only waiting ones were meant",
        tests=("test_a_job_taken_meanwhile_is_cancelled_only_if_running_ones_are_meant_too",),
    ),
    Fault(
        name="wait-ends-too-soon",
        file="reading.py",
        was="                if job.status in FINISHED and not is_put_off:\n",
        becomes="                if job.status != 'pending' and not is_put_off:\n",
        breaks="a wait ends with the finished job",
        tests=("TestMemory::test_a_follower_sees_each_state_and_the_progress",),
    ),
    # -- events --------------------------------------------------------------------------
    Fault(
        name="told-before-stored",
        file="creating.py",
        was="            self._run(self._store.create, job)\n",
        becomes='            self.emit("created", job)\n            self._run(self._store.create, job)\n',
        breaks="an event tells of what is stored",
        tests=("test_a_create_that_was_refused_is_told_to_no_hook",),
    ),
    Fault(
        name="runs-are-anybodys",
        file="store.py",
        was="return not type_name.startswith(OF_RUNS) or type_name in self.runs",
        becomes="return True",
        breaks="the items of a run are offered to nobody who does not name their type",
        tests=(
            "TestMemory::test_an_item_of_a_run_is_offered_only_to_those_who_name_its_type",
            "test_a_worker_of_any_type_beside_a_pool_does_no_run_s_jobs",
        ),
    ),
    Fault(
        name="forks-share-a-worker",
        file="pool/roster.py",
        was="            if pid == os.getpid():",
        becomes="            if pid:",
        breaks="each process makes workers of its own",
        tests=("test_what_was_made_to_try_is_used_in_no_other_process",),
    ),
    Fault(
        name="hook-holds-up-the-watch",
        file="pool/watch.py",
        was="        become_keeper()\n",
        becomes="",
        breaks="a hook that hangs holds up its own thread only",
        tests=("test_a_hook_that_hangs_on_stuck_work_keeps_no_pool_from_going_on",),
    ),
    Fault(
        name="hook-breaks-the-verb",
        file="hooks.py",
        was="except BaseException as error:",
        becomes="except LookupError as error:",
        breaks="a hook that raises harms no job",
        tests=("test_a_hook_that_raises_harms_no_job_and_no_other_hook",),
    ),
    Fault(
        name="told-under-the-lock",
        file="in_hand.py",
        was="        told, self._told = self._told, ()\n        self._lock.release()\n"
        "        if not told:\n            self._desk.tell_noted()\n"
        "        for name, job in told:\n            self._desk.emit(name, job)\n",
        becomes="        told, self._told = self._told, ()\n"
        "        if not told:\n            self._desk.tell_noted()\n"
        "        for name, job in told:\n            self._desk.emit(name, job)\n"
        "        self._lock.release()\n",
        breaks="a hook that hangs keeps nobody from the job",
        tests=("test_while_a_hook_hangs_its_claim_is_free_for_other_threads[memory-checkpointed]",),
    ),
    Fault(
        name="retries-told-as-failures",
        file="claim.py",
        was='"failed" if tried.status == "failed" else "retrying"',
        becomes='"failed"',
        breaks="a failed attempt with retries left is told as such",
        tests=("test_each_transition_is_told_once_with_the_job_as_stored",),
    ),
    Fault(
        name="texts-logged-as-they-are",
        file="events.py",
        was='f": {abridged(detail)}" if detail else ""',
        becomes='f": {detail}" if detail else ""',
        breaks="a job's text cannot give orders to a log",
        tests=("test_texts_of_a_job_are_escaped_in_the_log",),
    ),
    Fault(
        name="last-failure-counted-as-a-retry",
        file="tally.py",
        was="return failed - is_last",
        becomes="return failed",
        breaks="metrics tell retries from giving up",
        tests=("test_attempts_are_told_apart",),
    ),
    # -- the transfer --------------------------------------------------------------------
    Fault(
        name="leave-before-arrival",
        file="transfer.py",
        was="        self._to.arrive(job_id, data)\n        if self._to.arrival(job_id) != data:",
        becomes="        self._from.leave(hold)\n        self._to.arrive(job_id, data)\n"
        "        if self._to.arrival(job_id) != data:",
        breaks="a move that dies loses no job",
        tests=("test_a_move_that_dies_at_any_step_loses_no_job_and_doubles_none",),
    ),
    Fault(
        name="broken-off-move-undone",
        file="transfer.py",
        was="if self._from.get(job_id) is not None:",
        becomes="if self._from is not None:",
        breaks="a move that was broken off is finished by the next",
        tests=("test_a_move_that_dies_at_any_step_loses_no_job_and_doubles_none",),
    ),
    Fault(
        name="taken-id-overwritten",
        file="transfer.py",
        was="        if self._stands_in_target(job_id):\n",
        becomes="        if job_id is None:\n",
        breaks="a job whose id is taken there stays",
        tests=("test_a_job_whose_id_is_taken_there_stays",),
    ),
    # -- the command line ----------------------------------------------------------------
    Fault(
        name="terminal-obeys-jobs",
        file="cli/text.py",
        was="if character.isprintable()",
        becomes="if character",
        breaks="nothing in a job reaches the terminal unescaped",
        tests=("test_nothing_in_a_job_reaches_the_terminal_unescaped",),
    ),
    Fault(
        name="failure-exits-with-zero",
        file="cli/acting.py",
        was='failed = failed or not row["done"]',
        becomes='failed = failed and not row["done"]',
        breaks="a command that could not do all says so in its exit code",
        tests=("test_jobs_are_cancelled_and_retried_each_told",),
    ),
    Fault(
        name="closed-under-a-claim-that-is-being-made",
        file="openable.py",
        was="                self._claims.wait_for_expected(PATIENCE)\n",
        becomes="",
        breaks="a close waits for claims that are being made, and gives them back",
        tests=("test_a_close_waits_for_a_claim_that_is_being_made[files]",),
    ),
    Fault(
        name="claimed-from-a-queue-that-is-being-closed",
        file="openable.py",
        was="            if current is self._opening and not current.is_over:\n",
        becomes="            if current is self._opening:\n",
        breaks="who claims while a queue is being closed claims once it is",
        tests=("test_who_claims_while_the_queue_is_being_closed_claims_once_it_is[files]",),
    ),
    Fault(
        name="kept-by-its-own-store",
        file="openable.py",
        was="weakly(self._hear)",
        becomes="self._hear",
        breaks="a queue that nobody has any more is gone at once",
        tests=(
            "test_a_queue_that_nobody_has_any_more_is_not_looked_after_until_the_collector_comes[process]",
        ),
    ),
)
