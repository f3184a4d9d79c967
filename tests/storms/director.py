"""The process that makes a storm: it starts the actors, kills, stops and restarts them.

It has imported the library and forks actors off, so that a restart costs milliseconds. It
opens no queue and has one thread. Run as ``python -m storms.director DATA LOGS STORM``.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import random
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

from proofs.witness import Witness, lines_in
from storms.actors import Actor
from storms.places import Database, place_of
from storms.storm import PATIENCE, Storm

LOOK_EVERY = 0.02
"""Seconds between two looks whether anything is left to do."""

MOST_IN_VAIN = 10
"""Kills in a row that may meet nobody at work. On a slow machine processes die of a storm before
they have a job; after so many it waits for one who has."""

NICE = 10
"""Of the actors, so that the director, who sleeps most of the time, kills when it means to."""


@dataclass
class _Process:
    role: str
    who: str
    pid: int
    continue_at: float | None = None
    is_killed: bool = False


class Director:
    """Directs one storm."""

    def __init__(self, data: str, logs: str, storm: Storm) -> None:
        self.storm = storm
        self.data = data
        self.place = place_of(data)
        self.logs = logs
        self.chance = random.Random(storm.seed)
        self.note = Witness(logs, "director")
        self.processes: dict[str, _Process] = {}
        self.born = 0
        self.kills = 0
        self.in_vain = 0
        self.is_produced = False

    def direct(self) -> bool:
        """From the first process to the last; whether all jobs were worked off in time."""
        # SIGTERM is for the actors, who unblock it once they know what to do with it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
        self.place.prepare()
        self._start("producer", "producer")
        for number in range(self.storm.workers):
            self._start(f"worker-{number}", ("worker", "claimer")[number % 2])
        for number in range(self.storm.rescuers):
            self._start(f"rescuer-{number}", "rescuer")
        if self.storm.crowd:
            self._start("canceller", "canceller")
            self._start("cleaner", "cleaner")
        self._blow()
        return self._calm()

    # -- phases --------------------------------------------------------------------------

    def _blow(self) -> None:
        every = self.storm.kill_every
        end = time.monotonic() + self.storm.seconds
        next_kill = next_stop = time.monotonic() + (every or 0)
        next_look = 0.0
        sever = self.storm.sever_every
        next_cut = time.monotonic() + (sever or float("inf"))
        while (now := time.monotonic()) < end or self._must_go_on(now - end):
            if every is not None and now >= next_kill:
                self._kill_somebody()
                next_kill = time.monotonic() + self.chance.uniform(0.3, 1.7) * every
            if every is not None and now >= next_stop:
                self._stop_somebody()
                next_stop = time.monotonic() + self.chance.uniform(1, 4) * every
            if sever is not None and now >= next_cut:
                assert isinstance(self.place, Database)
                self.place.sever(self.storm.application)
                self.note("sever")
                next_cut = now + self.chance.uniform(0.3, 1.7) * sever
            self._continue(now)
            self._reap()
            if now >= next_look:
                if self.is_produced and self.place.is_drained():
                    return
                next_look = now + LOOK_EVERY
            upcoming = min(next_look, next_cut)
            if every is not None:
                upcoming = min(next_kill, next_stop, upcoming)
            self._wait(upcoming - time.monotonic())

    def _must_go_on(self, late: float) -> bool:
        return self.kills < self.storm.least_kills and late < PATIENCE

    def _calm(self) -> bool:
        self.note("calm")
        self._continue(float("inf"))
        deadline = time.monotonic() + PATIENCE
        while not self.is_produced and time.monotonic() < deadline:
            self._reap()
            self._wait(LOOK_EVERY)
        # The canceller retries by hand: what it puts back must be worked off too.
        self._dismiss("canceller", "cleaner")
        while not self.place.is_drained() and time.monotonic() < deadline:
            self._reap()
            self._wait(LOOK_EVERY)
        is_drained = self.place.is_drained()
        self._dismiss("worker", "claimer", "rescuer", "producer")
        return is_drained

    # -- processes -----------------------------------------------------------------------

    def _start(self, slot: str, role: str) -> None:
        who = f"{slot}.{self.born}"
        self.born += 1
        chance = self.chance.getrandbits(32)
        pid = os.fork()
        if pid == 0:
            os.nice(NICE)
            os._exit(self._act(who, role, chance))
        self.processes[slot] = _Process(role, who, pid)

    def _act(self, who: str, role: str, chance: int) -> int:
        """In the child: play the role; the exit status."""
        try:
            actor = Actor(self.storm, self.data, self.logs, who, chance)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD, signal.SIGTERM})
            getattr(actor, role)()
        except BaseException:
            traceback.print_exc()
            return 1
        return 0

    def _victim(self) -> str | None:
        """A worker mostly, but nobody is safe."""
        alive = [slot for slot, process in self.processes.items() if not process.is_killed]
        workers = [slot for slot in alive if slot.startswith("worker")]
        others = [slot for slot in alive if not slot.startswith("worker")]
        some = others if self.chance.random() < 0.15 else workers
        return self.chance.choice(some) if some else None

    def _is_at_work(self, slot: str) -> bool:
        process = self.processes[slot]
        lines = lines_in(Path(self.logs), process.who)
        told = [line.word for line in lines if line.word in ("start", "ending")]
        return not process.is_killed and told[-1:] == ["start"]

    def _kill_somebody(self) -> None:
        slot = self._victim()
        if slot is not None and self.in_vain >= MOST_IN_VAIN:
            slot = next(filter(self._is_at_work, self.processes), None)
        if slot is None:
            return
        self.in_vain = 0 if self._is_at_work(slot) else self.in_vain + 1
        process = self.processes[slot]
        process.is_killed = True
        self.kills += 1
        self.note("kill", victim=process.who)
        os.kill(process.pid, signal.SIGKILL)

    def _reap(self) -> None:
        for slot, process in list(self.processes.items()):
            pid, status = os.waitpid(process.pid, os.WNOHANG)
            if pid:
                del self.processes[slot]
                self._buried(slot, process, status)

    def _buried(self, slot: str, process: _Process, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        self.note("gone", victim=process.who, code=code)
        if code > 0:
            raise RuntimeError(f"{process.who} failed")  # its errors are printed
        if process.role == "producer" and code == 0:
            self.is_produced = True
        else:
            self._start(slot, process.role)

    def _stop_somebody(self) -> None:
        slot = self._victim()
        process = None if slot is None else self.processes[slot]
        if process is not None and process.continue_at is None:
            self.note("stop", victim=process.who)
            os.kill(process.pid, signal.SIGSTOP)
            process.continue_at = time.monotonic() + self.chance.uniform(0.005, 0.06)

    def _continue(self, now: float) -> None:
        for process in self.processes.values():
            if process.continue_at is not None and process.continue_at <= now:
                process.continue_at = None
                os.kill(process.pid, signal.SIGCONT)
                self.note("continue", victim=process.who)

    def _dismiss(self, *roles: str) -> None:
        leaving = [slot for slot, each in self.processes.items() if each.role in roles]
        for slot in leaving:
            os.kill(self.processes[slot].pid, signal.SIGTERM)
        for slot in leaving:
            process = self.processes.pop(slot)
            _, status = os.waitpid(process.pid, 0)
            self.note("gone", victim=process.who, code=os.waitstatus_to_exitcode(status))

    def _wait(self, seconds: float) -> None:
        """Until a child ends, or so long."""
        if seconds > 0:
            signal.sigtimedwait({signal.SIGCHLD}, seconds)


def main() -> int:
    """Direct the storm that the arguments describe."""
    data, logs, storm = sys.argv[1:]
    settings = json.loads(storm)
    logging.disable(logging.ERROR)
    # What is never freed is not copied when a child's collector looks at it.
    gc.collect()
    gc.freeze()
    director = Director(data, logs, Storm(**settings | {"kinds": tuple(settings["kinds"])}))
    if not director.direct():
        print("the jobs were not worked off in time", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
