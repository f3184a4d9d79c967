"""What the pages show for systemd, Docker and Kubernetes is well formed, and true of this library.

Commands are parsed by the command line itself, and run; times, exit codes and variables are
compared with the code's.
"""

from __future__ import annotations

import configparser
import inspect
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
import yaml
from blocks import DOCS, PAGES, ROOT, Block, blocks_of

from semiont_jobs import JobQueue
from semiont_jobs.cli.app import DIR_VARIABLE, URL_VARIABLE, cli
from semiont_jobs.cli.main import main
from semiont_jobs.pool.pool import CLEAN, GIVEN_BACK
from semiont_jobs.pool.slot import FAREWELL
from semiont_jobs.pool.watch import LAST_WORDS

assert main is not None  # importing it is what puts the commands into the group

PATIENCE = 60.0
TASKS = """\
from semiont_jobs import job_handler


@job_handler("greet")
def greet(params: dict) -> str:
    return "hello"


ALL = [greet]
"""


class Shown(NamedTuple):
    """A file that a page shows."""

    page: str
    name: str
    text: str


def shown(language: str) -> list[Shown]:
    found = [(page, block) for page in PAGES for block in blocks_of(DOCS / page)]
    return [Shown(page, _name(b), b.text) for page, b in found if b.language == language]


def _name(block: Block) -> str:
    assert block.file is not None
    return block.file


UNITS = shown("ini")
DOCKERFILES = shown("dockerfile")
MANIFESTS = shown("yaml")


def unit(one: Shown) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(one.text)
    return parser


def instructions(one: Shown) -> list[tuple[str, str]]:
    """What a Dockerfile says: instruction and arguments."""
    lines = [line.partition(" ") for line in one.text.splitlines() if line]
    return [(name, rest) for name, _space, rest in lines]


def documents(one: Shown) -> list[Any]:
    return list(yaml.safe_load_all(one.text))


def every(key: str, document: Any) -> Iterator[Any]:
    """All that stands under that key, at any depth."""
    if isinstance(document, dict):
        if key in document:
            yield document[key]
        for each in document.values():
            yield from every(key, each)
    elif isinstance(document, list):
        for each in document:
            yield from every(key, each)


def commands() -> Iterator[tuple[str, list[str]]]:
    """The command lines of ours: where each is shown, and its words behind ``semiont-jobs``."""
    for one in UNITS:
        if unit(one).has_option("Service", "ExecStart"):
            words = shlex.split(unit(one)["Service"]["ExecStart"].replace("%i", "default"))
            assert words[0].endswith("/bin/semiont-jobs")
            yield one.name, words[1:]
    for one in DOCKERFILES:
        yield one.name, json.loads(dict(instructions(one))["CMD"])[1:]
    for one in MANIFESTS:
        for words in every("command", documents(one)):
            if words[0] == "semiont-jobs":
                yield one.name, words[1:]


COMMANDS = list(commands())
WORKERS = [(name, words) for name, words in COMMANDS if words[0] == "worker"]


def options_of(words: list[str]) -> dict[str, Any]:
    """What the command line takes them for."""
    return cli.commands[words[0]].make_context(words[0], words[1:]).params


# -- well formed -------------------------------------------------------------------------


def test_the_pages_show_what_is_checked_here() -> None:
    names = [one.name for one in (*UNITS, *DOCKERFILES, *MANIFESTS)]

    assert sorted(names) == [
        "Dockerfile",
        "cleanup.yaml",
        "compose.yaml",
        "directory.yaml",
        "semiont-jobs-cleanup.service",
        "semiont-jobs-cleanup.timer",
        "semiont-jobs.service",
        "semiont-jobs@.service",
        "workers.yaml",
    ]


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
@pytest.mark.parametrize("one", UNITS, ids=lambda one: one.name)
def test_systemd_has_nothing_against_a_unit(one: Shown, tmp_path: Path) -> None:
    for each in UNITS:
        # The paths of the reader's application are not there.
        text = re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", each.text)
        text = text.replace("/srv/shop", "/")
        (tmp_path / each.name).write_text(text.replace("User=shop", "User=root"))
    name = one.name.replace("@", "@default")
    if name != one.name:
        shutil.copy(tmp_path / one.name, tmp_path / name)

    run = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / name)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert [line for line in run.stderr.splitlines() if "semiont-jobs" in line] == []


def test_the_image_is_made_by_known_instructions_and_runs_its_command_itself() -> None:
    [one] = DOCKERFILES
    names = [name for name, _rest in instructions(one)]
    command = json.loads(dict(instructions(one))["CMD"])

    assert set(names) <= {"FROM", "RUN", "WORKDIR", "COPY", "USER", "ENV", "CMD"}
    assert names[0] == "FROM"
    assert (names.index("USER"), names[-1]) == (len(names) - 3, "CMD")
    assert command[0] == "semiont-jobs"


def manifest(name: str) -> list[Any]:
    [found] = [documents(one) for one in MANIFESTS if one.name == name]
    return found


def test_the_volumes_that_compose_mounts_are_there() -> None:
    [compose] = manifest("compose.yaml")
    services = compose["services"].values()

    mounted = {each.partition(":")[0] for service in services for each in service["volumes"]}

    assert mounted == set(compose["volumes"])


@pytest.mark.parametrize("name", ["workers.yaml", "directory.yaml", "cleanup.yaml"])
def test_what_a_pod_mounts_is_there(name: str) -> None:
    pods = [spec for spec in every("spec", manifest(name)) if "containers" in spec]
    claims = {
        each["metadata"]["name"]
        for each in manifest(name)
        if each["kind"] == "PersistentVolumeClaim"
    }

    for pod in pods:
        volumes = {each["name"] for each in pod.get("volumes", [])}
        assert {m["name"] for mounts in every("volumeMounts", pod) for m in mounts} == volumes
    assert {claim for pod in pods for claim in every("claimName", pod)} == claims


@pytest.mark.parametrize("name", ["workers.yaml", "directory.yaml"])
def test_a_deployment_selects_its_own_pods(name: str) -> None:
    [spec] = [spec for spec in every("spec", manifest(name)) if "selector" in spec]

    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]


# -- true of this library ----------------------------------------------------------------


@pytest.mark.parametrize(("name", "words"), COMMANDS)
def test_a_command_and_its_options_are_there(name: str, words: list[str]) -> None:
    assert options_of(words) is not None


def times_to_stop() -> Iterator[tuple[str, float, list[str]]]:
    """How long each of them waits before it kills what command."""
    for one in UNITS:
        if unit(one).has_option("Service", "TimeoutStopSec"):
            words = shlex.split(unit(one)["Service"]["ExecStart"])[1:]
            yield one.name, float(unit(one)["Service"]["TimeoutStopSec"]), words
    [image] = [json.loads(dict(instructions(one))["CMD"])[1:] for one in DOCKERFILES]
    for one in MANIFESTS:
        for services in every("services", documents(one)):
            for service in services.values():
                if "stop_grace_period" in service:
                    seconds = service["stop_grace_period"].removesuffix("s")
                    yield one.name, float(seconds), service.get("command", [0, *image])[1:]
        for pod in every("spec", documents(one)):
            for container in pod.get("containers", []):
                if container["command"][:2] == ["semiont-jobs", "worker"]:
                    seconds = pod["terminationGracePeriodSeconds"]
                    yield one.name, float(seconds), container["command"][1:]


def test_every_worker_has_the_time_it_needs_to_stop() -> None:
    times = list(times_to_stop())

    needed = [
        options_of(words)["grace"] + LAST_WORDS + FAREWELL for _name, _seconds, words in times
    ]

    # The image's command is the worker of compose.yaml.
    assert sorted(name for name, *_ in times) == sorted(
        "compose.yaml" if name == "Dockerfile" else name for name, _words in WORKERS
    )
    assert [
        (name, seconds)
        for (name, seconds, _words), least in zip(times, needed, strict=True)
        if not least < seconds <= least + 5
    ] == []


def test_an_exit_code_says_to_systemd_what_it_means_here() -> None:
    services = [unit(one)["Service"] for one in UNITS if "TimeoutStopSec" in one.text]

    assert [service["SuccessExitStatus"] for service in services] == [str(GIVEN_BACK)] * 2
    assert [service["RestartPreventExitStatus"] for service in services] == [
        str(click.UsageError.exit_code)
    ] * 2


def test_the_variables_that_are_set_are_those_that_are_read() -> None:
    everything = "".join(one.text for one in (*UNITS, *DOCKERFILES, *MANIFESTS))

    named = set(re.findall(r"SEMIONT\w+", everything))

    assert named == {DIR_VARIABLE, URL_VARIABLE}


def test_the_directory_is_the_place_that_survives() -> None:
    [image] = [dict(instructions(one))["ENV"] for one in DOCKERFILES]
    [compose] = manifest("compose.yaml")
    units = [unit(one)["Service"] for one in UNITS if "StateDirectory" in one.text]

    assert f"{DIR_VARIABLE}=/data" == image
    assert {"jobs:/data"} == {each for s in compose["services"].values() for each in s["volumes"]}
    assert {"/data"} == {
        each["mountPath"] for ms in every("volumeMounts", manifest("directory.yaml")) for each in ms
    }
    assert [f"{DIR_VARIABLE}=/var/lib/{each['StateDirectory']}" for each in units] == [
        each["Environment"] for each in units
    ]


@pytest.mark.parametrize(
    "page", ["deploy/systemd.rst", "deploy/docker.rst", "deploy/kubernetes.rst"]
)
def test_a_page_says_how_often_a_job_s_worker_may_be_killed(page: str) -> None:
    [allowed] = re.findall(
        r"with more\s+than\s+(\w+)\s+fails\s+\(``max_crashes``\)", (DOCS / page).read_text("utf-8")
    )

    default = inspect.signature(JobQueue).parameters["max_crashes"].default

    assert ["no", "one", "two", "three", "four"].index(allowed) == default


# -- run ---------------------------------------------------------------------------------


def environment(folder: Path) -> dict[str, str]:
    others = {key: value for key, value in os.environ.items() if not key.startswith("SEMIONT")}
    return {**others, "PYTHONPATH": str(ROOT), DIR_VARIABLE: str(folder / "data")}


@pytest.mark.parametrize(
    "words", [list(each) for each in dict.fromkeys(tuple(words) for _name, words in WORKERS)]
)
def test_a_worker_of_a_page_does_a_job_and_leaves_cleanly_at_sigterm(
    words: list[str], tmp_path: Path
) -> None:
    (tmp_path / "tasks.py").write_text(TASKS)
    queue = JobQueue(tmp_path / "data")
    job = queue.enqueue({}, type="greet")

    worker = subprocess.Popen(
        [sys.executable, "-m", "semiont_jobs", *words],
        cwd=tmp_path,
        env=environment(tmp_path),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(PATIENCE, os.killpg, (worker.pid, signal.SIGKILL))
    watchdog.start()
    try:
        done = queue.wait_for(job.metadata.id, timeout=PATIENCE)
        worker.send_signal(signal.SIGTERM)
        _out, told = worker.communicate()
    finally:
        watchdog.cancel()
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.communicate()

    assert (done.status, worker.returncode) == ("complete", CLEAN), told


def test_the_other_commands_of_the_pages_run(tmp_path: Path) -> None:
    JobQueue(tmp_path / "data").initialize().close()
    others = {tuple(words) for _name, words in COMMANDS if words[0] != "worker"}

    codes = {
        words: subprocess.run(
            [sys.executable, "-m", "semiont_jobs", *words],
            env=environment(tmp_path),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        ).returncode
        for words in others
    }

    assert codes == {("stats",): 0, ("cleanup", "--older-than", "7d"): 0}
