"""Whether given values fit: params their class, and a new job or an update what may be stored.

It must not know how jobs are written (`documents`), only whether they can be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from semiont_jobs.codec import jsontext
from semiont_jobs.codec.carrying import remainder, restore
from semiont_jobs.codec.documents import Documents
from semiont_jobs.codec.strict import METADATA_KEYS, structure_telling
from semiont_jobs.errors import InvalidJob, JobDecodeError
from semiont_jobs.fields import read_by
from semiont_jobs.model import AnyJob


class Codec(Documents):
    """Encodes and decodes jobs, and says beforehand what it could not."""

    def params(self, type_name: str, data: Mapping[str, Any]) -> Any:
        """The params object of that type for plain data; a dict if the type is not registered.

        Ranges are checked: the data come from a writer, not from a store.

        :raises JobDecodeError: they do not fit the class; names the field.
        """
        job_type = self.job_types.get(type_name)
        if job_type is None:
            return dict(data)
        params = structure_telling(data, job_type.params, "params")
        carried = remainder(data, self._converter.unstructure(params))
        if carried:
            raise JobDecodeError(
                f"{type_name} jobs have no such params", path=f"params.{next(iter(carried))}"
            )
        return params

    def params_fault(self, job: AnyJob) -> JobDecodeError | None:
        """Why the params of a job whose type is registered are plain data; None if they fit.

        A deploy removed a field or changed its class: the job stays readable, but code that expects
        the class cannot run.
        """
        job_type = self.job_types.get(job.metadata.type)
        if job_type is None or not isinstance(job.params, Mapping):
            return None
        try:
            read_by(structure_telling, job.params, job_type.params, "params")
        except JobDecodeError as error:
            error.job_id = job.metadata.id
            error.args = JobDecodeError(error.reason, path=error.path, job_id=error.job_id).args
            return error
        return None

    def check(self, value: Any, path: str, *, job_id: str) -> None:
        """Raise `JobEncodeError` unless JSON can hold that result, progress or cursor."""
        jsontext.check(self._plain(value, path, job_id), path, job_id=job_id)

    def check_new(self, job: AnyJob) -> None:
        """Raise `InvalidJob` unless the params are of the class of the job's type, and can be read
        as such.

        A class of an application need not check its fields, and not every program is type-checked:
        params that do not fit would reach the job's code as a dict, long after the call that
        created the job.
        """
        job_type = self.job_types.get(job.metadata.type)
        wanted = Mapping if job_type is None else job_type.params
        if not isinstance(job.params, wanted):
            name = "a dict" if job_type is None else job_type.params.__qualname__
            raise InvalidJob(
                f"params of a {job.metadata.type!r} job are {name}",
                field="params",
                value=job.params,
                job_id=job.metadata.id,
            )
        self._check_extra(job)
        if job_type is not None:
            self._check_fit(job, job_type.params)

    def _check_fit(self, job: AnyJob, kind: type[Any]) -> None:
        document: dict[str, Any] = {"params": self._plain(job.params, "params", job.metadata.id)}
        if "params" in job.extra:
            restore(document, {"params": job.extra["params"]})
        raw: Any = None
        try:
            raw = jsontext.as_read(document["params"])
            # Not like values that are read: ranges and choices bind a writer.
            self._converter.structure(raw, kind)
        except Exception as error:  # a class may refuse its data with any exception
            jsontext.check(document["params"], "params", job_id=job.metadata.id)
            fault = _fault(raw, kind, error)
            raise InvalidJob(
                f"params that a {job.metadata.type!r} job may not have: {fault.reason}",
                field=fault.path,
                value=_at(raw, fault.path),
                job_id=job.metadata.id,
            ) from error

    def check_update(self, job: AnyJob) -> None:
        """Raise `InvalidJob` or `JobEncodeError` if an update has what no job may have, and
        encoding it with the rest would not notice."""
        self._check_extra(job)
        if job.status == "failed":
            self.check(job.error, "error", job_id=job.metadata.id)

    def _check_extra(self, job: AnyJob) -> None:
        if "metadata" in job.extra:
            # A field that is absent because it has its default would be taken from here as the
            # job's own.
            raise InvalidJob(
                "what is added to the metadata stands in metadata.extra",
                field="extra",
                value=dict(job.extra),
                job_id=job.metadata.id,
            )
        taken = METADATA_KEYS & job.metadata.extra.keys()
        if taken:
            raise InvalidJob(
                f"the metadata has a field of its own for {sorted(taken)[0]!r}",
                field="metadata.extra",
                value=dict(job.metadata.extra),
                job_id=job.metadata.id,
            )


def _fault(raw: Any, kind: type[Any], error: Exception) -> JobDecodeError:
    """Why `raw` is not a `kind`: from the converter that knows where, if it agrees."""
    try:
        structure_telling(raw, kind, "params")
    except JobDecodeError as told:
        return told
    return JobDecodeError(f"{type(error).__name__}: {error}", path="params")


def _at(raw: Any, path: str) -> Any:
    """The value in the params at a path such as ``params.pages[3]``."""
    for name, index in re.findall(r"\.([^.\[]+)|\[(\d+)\]", path):
        try:
            raw = raw[int(index) if index else name]
        except (LookupError, TypeError):
            return raw  # it is missing there
    return raw
