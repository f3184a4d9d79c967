"""The admin's pages of jobs: the list, one job, and the actions on jobs.

They must not know how they got onto a site (`admin`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views import View

from semiont_jobs import lifecycle
from semiont_jobs.django.backend import JobsBackend
from semiont_jobs.django.compat import InvalidTaskBackend, task_backends
from semiont_jobs.django.permissions import may
from semiont_jobs.django.tasks import type_of
from semiont_jobs.errors import InvalidJobId, JobDecodeError, SemiontJobsError
from semiont_jobs.ids import job_id
from semiont_jobs.model import FINISHED, STATUSES, AnyJob
from semiont_jobs.queue import JobQueue

PAGE: Final = 100
"""Jobs on one page, as many as on other pages of the admin."""
SHOWN: Final = 20_000
"""Characters shown of params, progress or result: some hundred lines. A job may have 16 MiB of
them, too much to send to a browser."""
MOST_TOLD: Final = 5
"""Refusals shown one by one."""
VERBS: Final[dict[str, tuple[str, str, Callable[[JobQueue, str], object]]]] = {
    "retry": ("change", "put back to be run again", lambda queue, id_: queue.retry_job(id_)),
    "cancel": ("change", "cancelled, or asked to stop", lambda queue, id_: queue.cancel_job(id_)),
    "delete": ("delete", "removed for good", lambda queue, id_: queue.remove_job(id_)),
}
"""The actions on jobs: the permission needed, the message, and the function."""


class _Page(View):
    """One page within a site."""

    site: Any = None  # an AdminSite, given to `as_view`

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Refuse users who may not view jobs."""
        if not may(request.user, "view"):
            raise PermissionDenied
        answer: HttpResponse = super().dispatch(request, *args, **kwargs)
        return answer

    def _shown(self, template: str, title: str, **context: Any) -> TemplateResponse:
        allowed = {
            f"may_{action}": may(self.request.user, action) for action in ("change", "delete")
        }
        return TemplateResponse(
            self.request,
            f"admin/semiont_jobs/{template}.html",
            {**self.site.each_context(self.request), "title": title, **allowed, **context},
        )

    def _url(self, name: str, **arguments: str) -> str:
        return reverse(f"admin:semiont_jobs_{name}", kwargs=arguments, current_app=self.site.name)

    def _list_url(self, alias: str, kept: str = "") -> str:
        """The URL of a backend's list, with the filters chosen before."""
        return f"{self._url('list')}?{kept or urlencode({'backend': alias})}"


class Listing(_Page):
    """``GET``: the jobs of one backend, filtered, newest first."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """The page."""
        aliases = backends_of_ours()
        alias = request.GET.get("backend") or next(iter(aliases), "")
        if alias not in aliases:
            if not aliases:
                messages.warning(request, "No backend in TASKS is a JobsBackend.")
            else:
                raise Http404(f"TASKS has no backend of ours called {alias}")
        jobs: list[AnyJob] = []
        if aliases:
            try:
                jobs = task_backends[alias].queue.query_jobs(limit=None)
            except (SemiontJobsError, InvalidTaskBackend) as error:
                messages.error(request, str(error))
        chosen = {key: request.GET.get(key, "") for key in ("status", "type", "queue")}
        found = [job for job in jobs if _fits(job, chosen)]
        page = Paginator(found, PAGE).get_page(request.GET.get("p"))
        kept = request.GET.copy()
        kept.pop("p", None)
        return self._shown(
            "list",
            "Jobs",
            alias=alias,
            aliases=aliases,
            chosen=chosen,
            filters=[
                (
                    "status",
                    [status for status in STATUSES if any(j.status == status for j in jobs)],
                ),
                ("type", sorted({type_of(job) for job in jobs})),
                ("queue", sorted({job.metadata.queue for job in jobs})),
            ],
            page=page,
            rows=[
                (job, type_of(job), self._url("detail", alias=alias, job_id=job.metadata.id))
                for job in page
            ],
            kept=kept.urlencode(),
            list_url="",
            act=self._url("act", alias=alias) if aliases else "",
        )


class Detail(_Page):
    """``GET``: everything that is recorded of a job."""

    def get(self, request: HttpRequest, alias: str, job_id: str) -> HttpResponse:
        """The page."""
        queue = queue_of(alias)
        try:
            job = queue.get_job(job_id)
        except InvalidJobId:
            job = None
        except (JobDecodeError, OSError) as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(self._list_url(alias))
        if job is None:
            messages.warning(request, f"There is no job {job_id} (any more).")
            return HttpResponseRedirect(self._list_url(alias))
        document = json.loads(queue.codec.encode(job, is_read=True))
        parts = [
            (name, _cut(json.dumps(document[name], indent=2, ensure_ascii=False)))
            for name in ("params", "progress", "result")
            if name in document
        ]
        return self._shown(
            "detail",
            job.metadata.id,
            alias=alias,
            job=job,
            type=type_of(job),
            error=document.get("error"),
            started_at=getattr(job, "started_at", None),
            completed_at=getattr(job, "completed_at", None),
            parts=parts,
            is_finished=job.status in FINISHED,
            can_retry=lifecycle.allows("retry", job.status),
            can_cancel=lifecycle.allows("cancel", job.status),
            list_url=self._list_url(alias),
            act=self._url("act", alias=alias),
        )


class Acting(_Page):
    """``POST``: retry, cancel or delete some jobs; deleting asks for confirmation."""

    http_method_names: ClassVar[tuple[str, ...]] = ("post",)

    def post(self, request: HttpRequest, alias: str) -> HttpResponse:
        """Act, add messages, and redirect back."""
        action, ids = request.POST.get("action", ""), request.POST.getlist("id")
        if action not in VERBS:
            raise Http404("no such action")
        permission, told, act = VERBS[action]
        if not may(request.user, permission):
            raise PermissionDenied
        queue = queue_of(alias)
        kept = request.POST.get("kept", "")
        if action == "delete" and "confirmed" not in request.POST and ids:
            return self._shown(
                "confirm",
                "Are you sure?",
                ids=ids,
                kept=kept,
                act=request.path,
                list_url=self._list_url(alias),
                back=self._list_url(alias, kept),
            )
        done, refused = _each(queue, ids, act)
        if done:
            messages.success(request, f"{done} {'job' if done == 1 else 'jobs'} {told}.")
        elif not ids:
            messages.warning(request, "No jobs were selected.")
        for reason in refused[:MOST_TOLD]:
            messages.error(request, reason)
        if len(refused) > MOST_TOLD:
            messages.error(request, f"... and {len(refused) - MOST_TOLD} more.")
        if request.POST.get("back") == "detail" and action != "delete" and ids:
            with suppress(InvalidJobId):  # an invalid id has no page to go back to
                page = self._url("detail", alias=alias, job_id=job_id(ids[0]))
                return HttpResponseRedirect(page)
        return HttpResponseRedirect(self._list_url(alias, kept))


def _each(
    queue: JobQueue, ids: Sequence[str], act: Callable[[JobQueue, str], object]
) -> tuple[int, list[str]]:
    """How many jobs it was done to, and why not to the others."""
    done, refused = 0, []
    for id_ in ids:
        try:
            if act(queue, id_):
                done += 1
            else:
                refused.append(f"{id_}: it has ended, or is gone")
        except (SemiontJobsError, OSError) as error:
            refused.append(str(error))
    return done, refused


def _cut(text: str) -> str:
    left = len(text) - SHOWN
    return text if left <= 0 else f"{text[:SHOWN]}\n... ({left} characters more)"


def _fits(job: AnyJob, chosen: dict[str, str]) -> bool:
    own = {"status": job.status, "type": type_of(job), "queue": job.metadata.queue}
    return all(value in ("", own[key]) for key, value in chosen.items())


def backends_of_ours() -> list[str]:
    """The aliases in TASKS whose backend is a `JobsBackend`."""
    found = []
    for alias in getattr(settings, "TASKS", {}):
        try:
            if isinstance(task_backends[alias], JobsBackend):
                found.append(alias)
        except InvalidTaskBackend:  # not one of ours; `manage.py check` reports it
            continue
    return found


def queue_of(alias: str) -> JobQueue:
    """The queue of a backend.

    :raises Http404: it has none.
    """
    if alias not in backends_of_ours():
        raise Http404(f"TASKS has no backend of ours called {alias}")
    try:
        queue: JobQueue = task_backends[alias].queue
    except InvalidTaskBackend as error:
        raise Http404(str(error)) from error
    return queue
