"""The jobs in the admin: who sees them, what is shown, what can be done to them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest

pytest.importorskip("django", reason="Django is not installed")

from django.contrib import admin
from django.contrib.admin import AdminSite
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client, override_settings
from django.urls import path
from in_django.projects import BACKEND, project, works

from semiont_jobs import JobQueue
from semiont_jobs.django import JobsBackend
from semiont_jobs.django.admin import add_to
from semiont_jobs.django.compat import FRAMEWORK
from semiont_jobs.django.pages import SHOWN

LIST = "/admin/semiont_jobs/"
ACT = "/admin/semiont_jobs/default/act/"

other_site = AdminSite(name="other")
add_to(other_site)
urlpatterns = [path("admin/", admin.site.urls), path("other/", other_site.urls)]


@pytest.fixture(scope="module", autouse=True)
def _tables() -> None:
    call_command("migrate", verbosity=0)


@pytest.fixture(autouse=True)
def _urls() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["testserver"]):
        yield
    User.objects.all().delete()


@pytest.fixture
def backend() -> Iterator[JobsBackend]:
    with project(queues=["default", "mail"]) as made:
        yield made


@pytest.fixture
def as_staff() -> Callable[..., Client]:
    def make(*permissions: str, **options: Any) -> Client:
        user = User.objects.create_user("ada", is_staff=True, **options)
        names = [f"{each}_semiont_job" for each in permissions]
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client = Client(**({"enforce_csrf_checks": True} if options.pop("csrf", None) else {}))
        client.force_login(user)
        return client

    return make


def ids_in(page: str) -> list[str]:
    return re.findall(r'class="action-select" aria-label="Select ([^"]+)"', page)


def shown(client: Client, url: str = LIST, **query: str) -> str:
    answer = client.get(url, query)
    assert 200 == answer.status_code
    return str(answer.content.decode())


def said(client: Client, answer: Any) -> str:
    """What the page after a redirect says."""
    assert 302 == answer.status_code
    page = client.get(answer["Location"]).content.decode()
    return "\n".join(re.findall(r'<li class="(?:success|warning|error)">(.*?)</li>', page, re.S))


def a_failed(queue: JobQueue, message: str = "no <b>paper</b>") -> str:
    job = queue.enqueue({"title": "<script>alert(1)</script>"}, type="order", max_retries=0)
    claim = queue.claim_next_job(["order"])
    assert claim is not None
    try:
        raise LookupError(message)
    except LookupError as error:
        claim.fail(error)
    return str(job.metadata.id)


# -- who may -----------------------------------------------------------------------------


def test_whoever_is_no_staff_is_asked_to_log_in(backend: JobsBackend) -> None:
    answer = Client().get(LIST)

    assert (302, True) == (answer.status_code, answer["Location"].startswith("/admin/login/"))


@pytest.mark.parametrize("url", [LIST, f"{LIST}default/j/"])
def test_staff_without_the_permission_neither_see_nor_find_the_jobs(
    backend: JobsBackend, as_staff: Callable[..., Client], url: str
) -> None:
    client = as_staff()

    assert 403 == client.get(url).status_code
    assert "Background jobs" not in client.get("/admin/").content.decode()


def test_who_may_view_finds_the_jobs_on_the_first_page_and_can_do_nothing(
    backend: JobsBackend, as_staff: Callable[..., Client]
) -> None:
    id_ = a_failed(backend.queue)
    client = as_staff("view")

    assert f'href="{LIST}"' in client.get("/admin/").content.decode()
    assert id_ in shown(client)
    for page in (shown(client), shown(client, f"{LIST}default/{id_}/")):
        assert not re.search(r'(?:value="|name="action" value=")(retry|cancel|delete)"', page)
    for action in ("retry", "cancel", "delete"):
        assert 403 == client.post(ACT, {"action": action, "id": id_}).status_code


def test_changing_and_deleting_are_permissions_of_their_own(
    backend: JobsBackend, as_staff: Callable[..., Client]
) -> None:
    id_ = a_failed(backend.queue)
    client = as_staff("view", "change")

    assert 403 == client.post(ACT, {"action": "delete", "id": id_}).status_code
    assert "1 job put back" in said(client, client.post(ACT, {"action": "retry", "id": id_}))


def test_the_permissions_can_be_given_after_every_migrate() -> None:
    call_command("migrate", verbosity=0)

    found = Permission.objects.filter(codename__endswith="semiont_job")

    assert {
        ("auth", "view_semiont_job", "Can view background jobs"),
        ("auth", "change_semiont_job", "Can change background jobs"),
        ("auth", "delete_semiont_job", "Can delete background jobs"),
    } == {(each.content_type.app_label, each.codename, each.name) for each in found}


# -- the list ----------------------------------------------------------------------------


def test_tasks_are_listed_by_their_path_newest_first(
    backend: JobsBackend, as_staff: Callable[..., Client]
) -> None:
    client = as_staff(is_superuser=True)
    ids = [works.give.enqueue(1).id for n in range(3)]

    page = shown(client)

    assert sorted(ids, reverse=True) == sorted(ids_in(page), reverse=True)
    assert "in_django.works.give" in page
    assert "3 jobs" in page


def test_the_list_is_filtered_by_status_type_and_queue(
    backend: JobsBackend, as_staff: Callable[..., Client]
) -> None:
    client = as_staff(is_superuser=True)
    failed = a_failed(backend.queue)
    task = works.give.enqueue(1).id
    mail = works.give.using(queue_name="mail").enqueue(1).id

    assert [failed] == ids_in(shown(client, status="failed"))
    assert {task, mail} == set(ids_in(shown(client, type="in_django.works.give")))
    assert [mail] == ids_in(shown(client, queue="mail", status="pending"))
    assert [] == ids_in(shown(client, queue="mail", status="failed"))


def test_a_long_list_has_pages_that_keep_the_filter(
    backend: JobsBackend, as_staff: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("semiont_jobs.django.pages.PAGE", 2)
    client = as_staff(is_superuser=True)
    for _ in range(5):
        works.give.enqueue(1)

    pages = [ids_in(shown(client, status="pending", p=p)) for p in ("1", "2", "3", "99")]

    assert [2, 2, 1, 1] == [len(each) for each in pages]
    assert 5 == len({id_ for page in pages for id_ in page})
    assert "?status=pending&amp;p=3" in shown(client, status="pending", p="2")


def test_an_unknown_backend_is_not_found(
    backend: JobsBackend, as_staff: Callable[..., Client]
) -> None:
    client = as_staff(is_superuser=True)

    for url in (f"{LIST}?backend=nope", f"{LIST}nope/j/"):
        assert 404 == client.get(url).status_code
    assert 404 == client.post(ACT, {"action": "explode", "id": "j"}).status_code


def test_a_project_without_a_backend_of_ours_is_told_so(as_staff: Callable[..., Client]) -> None:
    client = as_staff(is_superuser=True)
    dummy = f"{FRAMEWORK}.backends.dummy.DummyBackend"
    with override_settings(TASKS={"default": {"BACKEND": dummy}}):
        assert "No backend in TASKS is a JobsBackend" in shown(client)


# -- one job -----------------------------------------------------------------------------


def test_a_job_is_shown_with_everything_escaped(
    backend: JobsBackend, as_staff: Callable[..., Client]
) -> None:
    id_ = a_failed(backend.queue)

    page = shown(as_staff(is_superuser=True), f"{LIST}default/{id_}/")

    assert "&lt;script&gt;alert(1)" in page
    assert "LookupError: no &lt;b&gt;paper" in page
    assert "Traceback (most recent call last)" in page
    assert "<script>alert" not in page
    assert "<b>paper" not in page


@pytest.mark.parametrize("id_", ["job-gone", "..%2f..%2fetc", "a%20b"])
def test_a_job_that_is_not_there_is_a_message(
    backend: JobsBackend, as_staff: Callable[..., Client], id_: str
) -> None:
    client = as_staff(is_superuser=True)

    answer = client.get(f"{LIST}default/{id_}/")

    if answer.status_code != 404:  # of a path that no job can have
        assert "There is no job" in said(client, answer)


# -- what is done to them ----------------------------------------------------------------


def test_jobs_are_retried_and_cancelled_and_what_cannot_be_is_told(
    backend: JobsBackend, as_staff: Callable[..., Client]
) -> None:
    client = as_staff("view", "change")
    failed, waiting = a_failed(backend.queue), works.give.enqueue(1).id

    retried = said(client, client.post(ACT, {"action": "retry", "id": [failed, waiting, "gone"]}))
    cancelled = said(client, client.post(ACT, {"action": "cancel", "id": [failed, waiting]}))

    assert "1 job put back to be run again." in retried
    assert f"{waiting}: cannot retry a pending job" in retried
    assert "gone" in retried
    assert "2 jobs cancelled, or asked to stop." in cancelled
    assert ["cancelled"] * 2 == [job.status for job in backend.queue.query_jobs()]


def test_deleting_asks_first_and_removes_only_what_has_ended(
    backend: JobsBackend, as_staff: Callable[..., Client]
) -> None:
    client = as_staff("view", "delete")
    failed, waiting = a_failed(backend.queue), works.give.enqueue(1).id
    chosen = {"action": "delete", "id": [failed, waiting], "kept": "status=failed"}

    asked = client.post(ACT, chosen)
    assert (200, True) == (asked.status_code, "removed for good" in asked.content.decode())
    assert 2 == backend.queue.get_stats().total
    answer = client.post(ACT, {**chosen, "confirmed": "yes"})

    assert f"{LIST}?status=failed" == answer["Location"]
    told = said(client, answer)
    assert "1 job removed for good." in told
    assert "cannot remove a pending job" in told
    assert [waiting] == [job.metadata.id for job in backend.queue.query_jobs()]


def test_a_button_of_a_job_leads_back_to_it(
    backend: JobsBackend, as_staff: Callable[..., Client]
) -> None:
    client, id_ = as_staff("view", "change"), a_failed(backend.queue)

    answer = client.post(ACT, {"action": "retry", "id": id_, "back": "detail"})

    assert f"{LIST}default/{id_}/" == answer["Location"]


def test_nothing_is_done_by_get_nor_without_the_token(
    backend: JobsBackend, as_staff: Callable[..., Client]
) -> None:
    client, id_ = as_staff("view", "change"), a_failed(backend.queue)
    checking = Client(enforce_csrf_checks=True)
    checking.cookies = client.cookies

    assert 405 == client.get(ACT, {"action": "retry", "id": id_}).status_code
    assert 403 == checking.post(ACT, {"action": "retry", "id": id_}).status_code
    assert "failed" == backend.queue.get_job(id_).status  # type: ignore[union-attr]


def test_nothing_chosen_is_told(backend: JobsBackend, as_staff: Callable[..., Client]) -> None:
    client = as_staff("view", "change", "delete")

    assert "No jobs were selected." in said(client, client.post(ACT, {"action": "delete"}))


def test_another_site_can_have_the_jobs_too(
    backend: JobsBackend, as_staff: Callable[..., Client]
) -> None:
    id_ = a_failed(backend.queue)

    page = shown(as_staff(is_superuser=True), "/other/semiont_jobs/")

    assert f'href="/other/semiont_jobs/default/{id_}/"' in page


@pytest.mark.parametrize("wrong", ["a/b", "", "../x"])
def test_what_is_no_id_is_told_in_the_list(
    backend: JobsBackend, as_staff: Callable[..., Client], wrong: str
) -> None:
    client = as_staff("view", "change")

    answer = client.post(ACT, {"action": "retry", "id": wrong, "back": "detail"})

    assert f"{LIST}?backend=default" == answer["Location"]
    assert "id" in said(client, answer)


def test_a_backend_may_have_any_alias(as_staff: Callable[..., Client]) -> None:
    client = as_staff("view", "change")
    ours = {"BACKEND": BACKEND, "OPTIONS": {"data_dir": "memory:"}}
    with override_settings(TASKS={"default": ours, "shop/mail": ours}):
        job_id = works.give.using(backend="shop/mail").enqueue(1).id
        page = shown(client, backend="shop/mail")
        address = re.search(rf'href="([^"]+/{job_id}/)"', page)
        assert address is not None
        detail = shown(client, address[1])
        act = re.search(r'action="([^"]+/act/)"', detail)
        assert act is not None
        answer = client.post(act[1], {"action": "cancel", "id": job_id, "back": "detail"})

        assert address[1] == answer["Location"]
        assert "cancelled" in said(client, answer)


@pytest.mark.parametrize("use_tz", [True, False])
def test_times_are_told_in_the_project_s_time_zone(
    as_staff: Callable[..., Client], use_tz: bool
) -> None:
    client = as_staff("view")
    with project(), override_settings(USE_TZ=use_tz, TIME_ZONE="Asia/Kathmandu"):
        result = works.give.enqueue(1)
        created = result.job.metadata.created.astimezone(ZoneInfo("Asia/Kathmandu"))
        pages = [shown(client), shown(client, f"{LIST}default/{result.id}/")]

    assert all(f"{created:%Y-%m-%d %H:%M:%S}" in page for page in pages)


def test_a_text_too_long_to_look_at_is_cut(
    backend: JobsBackend, as_staff: Callable[..., Client]
) -> None:
    result = works.give.enqueue("x" * (2 * SHOWN) + "end")

    page = shown(as_staff("view"), f"{LIST}default/{result.id}/")

    assert "characters more)" in page
    assert "xend" not in page
