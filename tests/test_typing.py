"""What a state has not got cannot be read: the type checkers say so before it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import semiont_jobs

USER_CODE = Path(__file__).parent / "typing" / "user_code.py"
CHECKERS = {
    "mypy": [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file="],
    "basedpyright": [sys.executable, "-m", "basedpyright", "--pythonpath", sys.executable],
}
BAD = {
    "progress of a job in any state": "print(job.progress)",
    "result of a running job": "if job.status == 'running':\n        print(job.result)",
    "error of a complete job": "if job.status == 'complete':\n        print(job.error)",
    "a status there is not": "job.metadata.status",
    "a change in place": "job.metadata.priority = 5",
}


def check(checker: str, file: Path) -> subprocess.CompletedProcess[str]:
    pytest.importorskip(checker, reason=f"{checker} is not installed")
    # Found as a neighbour, however the package that is under test was installed.
    (file.parent / "semiont_jobs").symlink_to(Path(semiont_jobs.__file__).parent)
    return subprocess.run(
        [*CHECKERS[checker], str(file)],
        cwd=file.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("checker", CHECKERS)
def test_ordinary_code_is_accepted(checker: str, tmp_path: Path) -> None:
    file = tmp_path / "user_code.py"
    file.write_text(USER_CODE.read_text())
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')

    checked = check(checker, file)

    assert 0 == checked.returncode, checked.stdout


@pytest.mark.parametrize("checker", CHECKERS)
def test_what_a_state_has_not_got_is_an_error(checker: str, tmp_path: Path) -> None:
    lines = ["from semiont_jobs import AnyJob", ""]
    for number, code in enumerate(BAD.values()):
        lines += [f"def use{number}(job: AnyJob) -> None:", f"    {code}", ""]
    file = tmp_path / "bad_code.py"
    file.write_text("\n".join(lines))

    checked = check(checker, file)

    wrong = {
        number
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if line.strip() and any(line.strip() in code.split("\n")[-1] for code in BAD.values())
    }
    told = {
        int(line.split(":")[1])
        for line in checked.stdout.splitlines()
        if "error" in line and "bad_code.py:" in line
    }
    assert wrong == told & wrong, checked.stdout
    assert len(BAD) == len(wrong)


UNTYPED = ("semiont_jobs.django.", "semiont_jobs.testing.django.")
"""Where classes extend Django's, which has no types: what they inherit is known to no checker."""


def test_every_public_name_says_its_type_in_full(tmp_path: Path) -> None:
    for needed in ("basedpyright", "flask", "psycopg"):
        pytest.importorskip(needed, reason=f"{needed} is not installed")
    # It looks at what the Python that is first on the path can import.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    package = str(Path(semiont_jobs.__file__).parent.parent)
    verify = "-m basedpyright --ignoreexternal --outputjson --verifytypes semiont_jobs"

    checked = subprocess.run(
        [sys.executable, *verify.split()],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "PYTHONPATH": package},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    symbols = json.loads(checked.stdout)["typeCompleteness"]["symbols"]
    assert "semiont_jobs.JobQueue" in {symbol["name"] for symbol in symbols}
    unclear = {
        symbol["name"]: [each["message"] for each in symbol["diagnostics"]]
        for symbol in symbols
        if not symbol["name"].startswith(UNTYPED)
        and (symbol["isTypeAmbiguous"] or not symbol["isTypeKnown"])
    }
    assert {} == unclear
