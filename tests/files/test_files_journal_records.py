"""What is written to a journal is read from it, up to where it was torn or changed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from semiont_jobs.stores.files.journal.records import Record, records_in, removal_of, revision_of

ids = st.from_regex(r"[A-Za-z0-9_-]{1,128}", fullmatch=True)
counts = st.integers(0, 2**64 - 1)
given_records = st.lists(
    st.builds(Record, ids, counts, counts, st.binary(max_size=50))
    | st.builds(Record, ids, st.just(0), counts, st.none())
)


def written(record: Record) -> bytes:
    if record.text is None:
        return removal_of(record.job_id, record.at)
    return revision_of(record.job_id, record.revision, record.at, record.text)


@given(given_records)
def test_what_was_written_is_read(given: list[Record]) -> None:
    data = b"".join(map(written, given))

    assert given == list(records_in(data + bytes(100)))


@given(given_records.filter(len), st.data())
def test_a_torn_record_ends_the_journal_and_what_lies_before_it_counts(
    given: list[Record], data: st.DataObject
) -> None:
    before = b"".join(map(written, given[:-1]))
    last = written(given[-1])
    cut = data.draw(st.integers(0, len(last) - 1))

    assert given[:-1] == list(records_in(before + last[:cut] + bytes(len(last) - cut)))
    assert given[:-1] == list(records_in(before + last[:cut]))


@given(given_records.filter(len), st.data())
def test_a_byte_that_changed_ends_the_journal(given: list[Record], data: st.DataObject) -> None:
    whole = bytearray(b"".join(map(written, given)))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))

    found = list(records_in(bytes(whole)))

    assert found == given[: len(found)]
    assert len(found) < len(given)
