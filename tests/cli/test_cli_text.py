"""Tables: what is cut on a narrow terminal, and that nothing is cut elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from semiont_jobs import JobQueue, PermanentError
from semiont_jobs.cli.text import GAP, LEAST, SHORT, _allowed
from semiont_jobs.ids import new_job_id

if TYPE_CHECKING:
    from conftest import Run

ID, STATUS, TYPE, AGE, RETRIES = 30, 9, 40, 3, 7


@pytest.mark.parametrize("width", [200, 140, 100, 90, 80, 60, 20])
@pytest.mark.parametrize("remark", [0, 5, 300])
def test_the_first_column_is_never_cut_and_the_remark_before_all_others(
    width: int, remark: int
) -> None:
    natural = (ID, STATUS, TYPE, AGE, RETRIES, remark)

    allowed = _allowed(natural, width)

    assert [ID, STATUS, AGE, RETRIES] == [allowed[place] for place in (0, 1, 3, 4)]
    assert SHORT <= allowed[2] <= TYPE
    assert allowed[5] == 0 or min(remark, LEAST) <= allowed[5] <= remark
    if allowed[2] < TYPE:
        assert allowed[5] == 0  # first of all
    if allowed[2] > SHORT:
        assert sum(allowed) + GAP * len(allowed) <= width


def test_what_goes_into_a_pipe_is_whole(run: Run, queue: JobQueue) -> None:
    message = "far away " * 30
    ids = [new_job_id() for _ in range(2)]
    for job_id in ids:
        queue.enqueue({}, type="a-type-with-a-long-name" * 3, id=job_id, max_retries=0)
        claim = queue.claim_next_job()
        assert claim is not None
        claim.fail(PermanentError(message))

    listed = run("list").out
    shown = run("show", ids[0]).out

    assert all(job_id in listed for job_id in ids)
    assert listed.count(message.strip()) == 2
    assert f"PermanentError: {message}".strip() in shown


def test_a_job_is_shown_with_where_its_last_attempt_failed(run: Run, queue: JobQueue) -> None:
    queue.enqueue({}, type="t", id="a", max_retries=0)
    claim = queue.claim_next_job()
    assert claim is not None
    with pytest.raises(KeyError), claim:
        {}["name"]

    shown = run("show", "a").out

    assert "KeyError: 'name'" in shown
    assert "traceback of the last" in shown
    assert '{}["name"]' in shown
