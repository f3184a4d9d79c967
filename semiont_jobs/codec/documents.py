"""JSON bytes <-> `Job`, losslessly.

It must not know where the bytes are kept.

A job that is decoded and encoded again loses nothing, whatever wrote it. What a class does not know
is kept in ``extra`` and written back after what is known: flat for the metadata, and shaped like
the document for the job (``{"params": {"unknownKey": 1}}``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
from cattrs import Converter

from semiont_jobs.codec import jsontext
from semiont_jobs.codec.carrying import remainder, restore
from semiont_jobs.codec.jsontext import Written
from semiont_jobs.codec.quick import job_text, metadata_text
from semiont_jobs.codec.strict import (
    REQUIRED_KEYS,
    SEED_FIELDS,
    camel,
    instant_text,
    metadata_hooks,
    strict_converter,
    structure_instant,
    structure_telling,
    structure_text,
)
from semiont_jobs.codec.turns import read_fresh
from semiont_jobs.errors import (
    InvalidJob,
    JobDecodeError,
    JobEncodeError,
    JobTooLarge,
    abridged,
)
from semiont_jobs.fields import read_by, to_instant
from semiont_jobs.job_types import JobType, JobTypes
from semiont_jobs.model import (
    JOB_CLASSES,
    STATUSES,
    AnyJob,
    JobMetadata,
    JobStatus,
    PendingJob,
    made_of,
)

MAX_JOB_BYTES: Final = 16 * 1024 * 1024
"""The largest JSON of a job. Claims, lists and rescues read jobs whole: larger data belong in a
file of their own, whose path is in the params."""

MAX_NEW_JOB_BYTES: Final = 14 * 1024 * 1024
"""The largest JSON of a new job. The rest is for its claim and all attempts that are kept, with the
longest strings, each character escaped: what was acknowledged can always be run."""


class Documents:
    """Encodes and decodes jobs, choosing the class of params, progress and result by type."""

    def __init__(self, job_types: JobTypes) -> None:
        self.job_types = job_types
        self._structure_fields: Callable[[Any, Any], JobMetadata]
        self._unstructure_metadata: Callable[[JobMetadata], dict[str, Any]]
        self._structure_fields, self._unstructure_metadata = metadata_hooks()
        self._made: Converter | None = None

    @property
    def _converter(self) -> Converter:
        """For the classes of an application: made when the first is met, for that takes longer than
        all the rest of a queue, and most jobs have plain params; two threads may each make one."""
        if self._made is None:
            made = strict_converter(detailed=False)
            # Jobs, too: a result may hold the job that it is about.
            made.register_structure_hook_func(_is_job, self._structure_job)
            for job_class in JOB_CLASSES.values():
                made.register_unstructure_hook(job_class, self._unstructure_job)
            self._made = made
        return self._made

    def written_params(self, job: AnyJob) -> Written:
        """The JSON of a job's params, for `encode` as long as they must not change: the job's code
        has the params, and may write into a dict.

        :raises JobEncodeError: JSON cannot hold them; names the path.
        """
        document: dict[str, Any] = {"params": self._plain(job.params, "params", job.metadata.id)}
        if "params" in job.extra:
            restore(document, {"params": job.extra["params"]})
        try:
            return Written(jsontext.part(document["params"]))
        except jsontext.UNWRITABLE:
            jsontext.check(document["params"], "params", job_id=job.metadata.id)
            raise

    def encode(
        self,
        job: AnyJob,
        *,
        params: Written | None = None,
        is_new: bool = False,
        is_read: bool = False,
        is_update: bool = False,
    ) -> bytes:
        """The bytes of ``JSON.stringify(job, null, 2)``.

        Lone surrogates that were read from a file are kept. In what is new they are refused: in
        every string of a new job, otherwise in the progress and result.

        :param params: written by `written_params` before, instead of the job's.
        :param is_new: nothing of the job was read from a file.
        :param is_read: all of it was.
        :param is_update: the job goes on running: its end, and the attempts to come, need room.
        :raises JobEncodeError: JSON cannot hold something in it; names the path.
        :raises JobTooLarge: more than 16 MiB; of a new job, and of an update without the attempts
            so far, more than 14.
        :raises InvalidJob: a progress or result of a class that is not the one of the job's type.
        """
        try:
            data = self._text(job, params).encode("utf-8")
        except jsontext.UNWRITABLE:
            data = self._written_with_care(job, params, is_new=is_new, is_read=is_read)
        limit, size = MAX_NEW_JOB_BYTES if is_new else MAX_JOB_BYTES, len(data)
        if is_update and size > MAX_NEW_JOB_BYTES:
            without = attrs.evolve(job.metadata, attempts=())
            bare = self.encode(attrs.evolve(job, metadata=without), params=params)
            limit, size = MAX_NEW_JOB_BYTES, len(bare)
        if size > limit:
            raise JobTooLarge(
                f"its text may have at most {limit} bytes",
                field="job",
                value=f"{size} bytes",
                job_id=job.metadata.id,
            )
        return data

    def decode(
        self, data: bytes, *, job_id: str | None = None, status: JobStatus | None = None
    ) -> AnyJob:
        """The job whose JSON is `data`; `job_id` and `status` are what it must say.

        Params that do not fit the class of their type stay a plain dict: see `params_fault`.

        :raises JobDecodeError: not a valid job; names the field if one is to blame.
        """
        if len(data) > MAX_JOB_BYTES:
            raise JobDecodeError(f"more than {MAX_JOB_BYTES} bytes", job_id=job_id)
        try:
            text = jsontext.text_of(data)
            fresh = read_fresh(text)
            if fresh is not None:
                job = self._fresh_job(*fresh)
            else:
                job = self._structure_job(jsontext.read_whole(text))
        except JobDecodeError as error:
            error.job_id = job_id
            raise
        if job_id is not None and job.metadata.id != job_id:
            raise JobDecodeError(
                f"the name says {job_id!r}, the content {job.metadata.id!r}",
                path="metadata.id",
                job_id=job_id,
            )
        if status is not None and job.status != status:
            raise JobDecodeError(
                f"it stands among the {status}, its content says {job.status!r}",
                path="status",
                job_id=job_id,
            )
        return job

    # -- encoding ------------------------------------------------------------------------

    def _text(self, job: AnyJob, params: Written | None) -> str:
        metadata = metadata_text(job.metadata)
        if metadata is None or job.extra:
            written = None if metadata is None else Written(metadata)
            return jsontext.part(self._document(job, params, written), 0)
        text: str | None = params
        if text is None:
            text = jsontext.part(self._plain(job.params, "params", job.metadata.id))
        part: str | None = None
        if job.status == "running":
            part = jsontext.part(self._plain_part(job, "progress", job.progress))
        elif job.status == "complete":
            part = jsontext.part(self._plain_part(job, "result", job.result))
        elif job.status == "failed":
            part = jsontext.part(job.error)
        return job_text(job, metadata, text, part)

    def _written_with_care(
        self, job: AnyJob, params: Written | None, *, is_new: bool, is_read: bool
    ) -> bytes:
        """Write what could not be written as it is: refuse it if it is new, keep it if it was
        read."""
        document = self._document(job, params, None)
        if is_new:
            return jsontext.write(document, job_id=job.metadata.id)
        # In another status these are unknown keys, which were read.
        for part in () if is_read else _NEW_PARTS.get(job.status, ()):
            jsontext.check(document[part], part, job_id=job.metadata.id)
        return jsontext.write(document, job_id=job.metadata.id, strict=False)

    def _unstructure_job(self, job: AnyJob) -> dict[str, Any]:
        return self._document(job, None, None)

    def _document(
        self, job: AnyJob, params: Written | None, metadata: Written | None
    ) -> dict[str, Any]:
        """A job as plain data, except the parts that are written already."""
        job_id = job.metadata.id
        document: dict[str, Any] = {
            "status": job.status,
            "metadata": self._plain_metadata(job) if metadata is None else metadata,
            "params": self._plain(job.params, "params", job_id) if params is None else params,
        }
        if job.status != "pending" and job.started_at is not None:
            document["startedAt"] = instant_text(job.started_at)
        if job.status == "running":
            document["progress"] = self._plain_part(job, "progress", job.progress)
        elif job.status != "pending":
            document["completedAt"] = instant_text(job.completed_at)
            if job.status == "complete":
                document["result"] = self._plain_part(job, "result", job.result)
            elif job.status == "failed":
                document["error"] = job.error
        if job.extra:
            restore(document, job.extra)
        return document

    def _plain_metadata(self, job: AnyJob) -> dict[str, Any]:
        try:
            return self._unstructure_metadata(job.metadata)
        except Exception as error:  # as in `_plain`
            raise _unwritable(error, "metadata", job.metadata, job.metadata.id) from error

    def _plain_part(self, job: AnyJob, key: str, value: Any) -> Any:
        """A progress or result as plain data; `{}` stands for None."""
        if value is None:
            return {}
        plain = self._plain(value, key, job.metadata.id)
        if plain is value or isinstance(value, Mapping):
            return plain  # not an object of a class
        job_type = self.job_types.get(job.metadata.type)
        kind = None if job_type is None else getattr(job_type, key)
        if kind is None or isinstance(value, kind) or isinstance(job.params, Mapping):
            return plain
        raise InvalidJob(
            f"the {key} of a {job.metadata.type!r} job is {kind.__qualname__}",
            field=key,
            value=value,
            job_id=job.metadata.id,
        )

    def _plain(self, value: Any, path: str, job_id: str) -> Any:
        kind = type(value)
        if kind is dict:
            return value
        if attrs.has(kind) or dataclasses.is_dataclass(value):
            try:
                return self._converter.unstructure(value)
            except Exception as error:  # a field that is not of its class, in whatever way
                raise _unwritable(error, path, value, job_id) from error
        return dict(value) if isinstance(value, Mapping) else value

    # -- decoding ------------------------------------------------------------------------

    def _fresh_job(self, metadata: JobMetadata, raw_params: dict[str, Any]) -> AnyJob:
        job_type = self.job_types.get(metadata.type)
        extra: dict[str, Any] = {}
        params = raw_params
        if job_type is not None:
            params = self._typed(raw_params, job_type.params, "params", extra)
        return made_of(PendingJob, {"metadata": metadata, "params": params, "extra": extra})

    def _structure_job(self, document: Any, _union: Any = AnyJob) -> AnyJob:
        if not isinstance(document, dict):
            raise JobDecodeError(f"a job is an object, not {type(document).__name__}")
        told = document.get("status")
        status = _STATUS_OF.get(told) if type(told) is str else None
        if status is None:
            raise JobDecodeError(f"unknown status {abridged(told)}", path="status")
        raw_metadata = document.get("metadata")
        metadata = self._structure_metadata(raw_metadata)
        raw_params = document.get("params")
        if not isinstance(raw_params, dict):
            raise JobDecodeError("params are an object", path="params")
        known = _KEYS[status]
        extra: dict[str, Any] = {}
        if not document.keys() <= known:
            extra = {key: value for key, value in document.items() if key not in known}
        fields: dict[str, Any] = {"metadata": metadata, "extra": extra}
        job_type = self.job_types.get(metadata.type)
        params_class = None if job_type is None else job_type.params
        fields["params"] = self._typed(raw_params, params_class, "params", extra)
        if fields["params"] is raw_params:
            job_type = None
        if status == "running":
            fields["progress"] = self._part(document, "progress", job_type, extra)
        elif status == "complete":
            fields["result"] = self._part(document, "result", job_type, extra)
        elif status == "failed":
            fields["error"] = structure_text(document.get("error"), path="error")
        for key, name in _INSTANTS[status].items():
            if key in document or (status, key) not in _OPTIONAL:
                fields[name] = to_instant(structure_instant(document.get(key), path=key))
            else:
                fields[name] = None
        return made_of(JOB_CLASSES[status], fields)

    def _structure_metadata(self, data: Any) -> JobMetadata:
        if not isinstance(data, dict):
            raise JobDecodeError("metadata is an object", path="metadata")
        if not data.keys() >= REQUIRED_KEYS:
            missing = next(camel(name) for name in SEED_FIELDS if camel(name) not in data)
            raise JobDecodeError("missing", path=f"metadata.{missing}")
        try:
            return read_by(self._structure_fields, data, JobMetadata)
        except Exception:  # noqa: BLE001 - whatever it was: this converter names the field
            return read_by(structure_telling, data, JobMetadata, "metadata")

    def _part(
        self,
        document: dict[str, Any],
        key: str,
        job_type: JobType[Any, Any, Any] | None,
        extra: dict[str, Any],
    ) -> Any:
        """A progress or result: `{}` stands for None if the job is typed."""
        raw = document.get(key, {})
        if job_type is None:
            return {} if raw is None else raw  # as it is written: see `_plain_part`
        if raw == {}:
            return None
        return self._typed(raw, getattr(job_type, key), key, extra)

    def _typed(self, raw: Any, kind: type | None, key: str, extra: dict[str, Any]) -> Any:
        """`raw` as a `kind`; what that class does not know is put into `extra`.

        What does not fit the class stays as it is: jobs of older versions of the application stay
        readable.
        """
        if kind is None:
            return raw
        try:
            value: Any = read_by(self._converter.structure, raw, kind)
        except Exception:  # noqa: BLE001 - a class may refuse its data with any exception
            return raw
        known = self._converter.unstructure(value)
        if known != raw:
            carried = remainder(raw, known)
            if carried:
                extra[key] = carried
        return value


# -- what each status has on the wire ----------------------------------------------------

_INSTANTS: Final[Mapping[JobStatus, Mapping[str, str]]] = {
    "pending": {},
    "running": {"startedAt": "started_at"},
    "complete": {"startedAt": "started_at", "completedAt": "completed_at"},
    "failed": {"startedAt": "started_at", "completedAt": "completed_at"},
    "cancelled": {"startedAt": "started_at", "completedAt": "completed_at"},
}
_OPTIONAL: Final = {("failed", "startedAt"), ("cancelled", "startedAt")}
_OWN_KEYS: Final[Mapping[JobStatus, tuple[str, ...]]] = {
    "pending": (),
    "running": ("progress",),
    "complete": ("result",),
    "failed": ("error",),
    "cancelled": (),
}
_NEW_PARTS: Final[Mapping[JobStatus, tuple[str, ...]]] = {
    "running": ("progress",),
    "complete": ("result",),
}
"""What the job's code provides, in the status in which it may be new."""
_KEYS: Final[Mapping[JobStatus, frozenset[str]]] = {
    status: frozenset({"status", "metadata", "params", *_INSTANTS[status], *_OWN_KEYS[status]})
    for status in STATUSES
}
_STATUS_OF: Final[Mapping[str, JobStatus]] = {status: status for status in STATUSES}


def _unwritable(error: Exception, path: str, value: object, job_id: str) -> JobEncodeError:
    reason = f"a field cannot be written ({type(error).__name__}: {error})"
    return JobEncodeError(reason, path=path, value=value, job_id=job_id)


def _is_job(kind: Any) -> bool:
    return bool(kind == AnyJob)
