"""Faults of what is left when a call is interrupted, or an object is dropped.

It must not know the other layers.
"""

from __future__ import annotations

from mutants.fault import Fault

FAULTS = (
    Fault(
        name="dropped-files-stay-locked",
        file="stores/files/descriptors.py",
        was="            HELD.dropped(self)\n",
        becomes="            return\n",
        breaks="after an interrupt, a job that nothing refers to is free",
        tests=("test_a_hold_that_is_dropped_lets_go_of_its_job",),
    ),
    Fault(
        name="holds-kept-alive",
        file="stores/files/holds.py",
        was="= weakref.ref(hold)\n",
        becomes="= lambda: hold  # type: ignore[assignment]\n",
        breaks="after an interrupt, a job that nothing refers to is free",
        tests=("test_a_dropped_job_whose_worker_lives_on_is_rescued_by_the_same_queue",),
    ),
    Fault(
        name="dropping-waits-for-a-lock",
        file="stores/files/descriptors.py",
        was="while self._dropped and self._lock.acquire(blocking=False):",
        becomes="while self._dropped and self._lock.acquire():",
        breaks="garbage collection waits for no lock",
        tests=("test_dropping_waits_for_no_thread_that_has_the_lock_of_all_descriptors",),
    ),
    Fault(
        name="interrupted-put-not-offered",
        file="stores/files/pending.py",
        was="            self.start_over()  # else it may be known and not be offered\n",
        becomes="",
        breaks="after an interrupt, every pending job is offered",
        tests=("test_an_interrupt_at_some_places_leaves_nothing_held[enqueue-process]",),
    ),
    Fault(
        name="half-made-claims-kept",
        file="desk.py",
        was="                give_back_hold(hold)\n",
        becomes="                hold.is_standing()\n",
        breaks="a claim whose making is interrupted leaves its job to others",
        tests=(
            "test_a_claim_whose_making_is_interrupted_anywhere_leaves_its_job_to_others[memory]",
        ),
    ),
    Fault(
        name="queues-dropped-with-their-claims",
        file="open_claims.py",
        was="        _desks.of_open[id(claim)] = claim._desk, claim._hold  # noqa: SLF001\n",
        becomes="",
        breaks="a claim that is dropped in one circle with its queue is given back",
        tests=("test_a_claim_dropped_in_one_circle_with_its_queue_is_given_back[process]",),
    ),
    Fault(
        name="files-dropped-with-their-claims",
        file="open_claims.py",
        was="= claim._desk, claim._hold  # noqa: SLF001\n",
        becomes="= claim._desk  # noqa: SLF001\n",
        breaks="a claim that is dropped is given back, and is no crash",
        tests=("test_a_claim_dropped_in_a_circle_is_given_back_and_not_taken_for_a_crash",),
    ),
    Fault(
        name="interrupted-outcome-shares-its-revision",
        file="in_hand.py",
        was="if isinstance(error, StoreError) or not isinstance(error, SemiontJobsError):",
        becomes="if isinstance(error, StoreError):",
        breaks="after an interrupted outcome the next one counts",
        tests=("test_an_outcome_after_an_interrupted_one_counts",),
    ),
    Fault(
        name="traceback-keeps-the-job",
        file="desk.py",
        was="return insist(action, *args, **kwargs)\n        except BaseException as error:\n"
        "            forget_frames(error)\n",
        becomes="return insist(action, *args, **kwargs)\n        except BaseException:\n",
        breaks="what an interactive session keeps of an interrupt holds no job",
        tests=("test_an_interrupted_call_holds_no_job_while_its_traceback_is_kept",),
    ),
    Fault(
        name="dropped-claims-kept",
        file="open_claims.py",
        was="                give_back([claim])\n",
        becomes="                give_back([])\n",
        breaks="a claim that is dropped is given back",
        tests=("test_a_claim_dropped_in_a_circle_is_given_back",),
    ),
)
