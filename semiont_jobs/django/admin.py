"""The jobs in Django's admin: their URLs on the site, and who may do what there.

It must not know what the pages show. Django imports it when it looks for the admin's parts, so a
project needs only ``semiont_jobs.django`` in INSTALLED_APPS.

There is no model, since jobs are in no table of Django's. So what a user may do is named by
permissions of ``auth`` itself, which a clean-up of stale content types does not remove.
"""

from __future__ import annotations

from typing import Any, Final

from django.contrib import admin
from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import path, reverse

from semiont_jobs.django import pages
from semiont_jobs.django.permissions import ACTIONS, may

LABEL: Final = "semiont_jobs"


def add_to(site: AdminSite) -> None:
    """Show the jobs on that site: needed for a second site; the default one has them."""
    urls_before, apps_before = site.get_urls, site.get_app_list

    def get_urls() -> list[Any]:
        listing = site.admin_view(pages.Listing.as_view(site=site))
        detail = site.admin_view(pages.Detail.as_view(site=site))
        acting = site.admin_view(pages.Acting.as_view(site=site))
        return [
            path(f"{LABEL}/", listing, name=f"{LABEL}_list"),
            # A path: TASKS allows any string as an alias, also one with a slash.
            path(f"{LABEL}/<path:alias>/act/", acting, name=f"{LABEL}_act"),
            path(f"{LABEL}/<path:alias>/<str:job_id>/", detail, name=f"{LABEL}_detail"),
            *urls_before(),
        ]

    def get_app_list(request: HttpRequest, app_label: str | None = None) -> list[Any]:
        apps: list[Any] = apps_before(request, app_label)
        if app_label in (None, LABEL) and may(request.user, "view"):
            apps.append(_entry(site, request))
        return apps

    # Wrapped, not subclassed: the project chooses the class of its site.
    site.get_urls = get_urls
    site.get_app_list = get_app_list


def _entry(site: AdminSite, request: HttpRequest) -> dict[str, Any]:
    url = reverse(f"admin:{LABEL}_list", current_app=site.name)
    return {
        "name": "Background jobs",
        "app_label": LABEL,
        "app_url": url,
        "has_module_perms": True,
        "models": [
            {
                "model": None,
                "name": "Jobs",
                "object_name": "Job",
                "perms": {action: may(request.user, action) for action in ACTIONS} | {"add": False},
                "admin_url": url,
                "add_url": None,
                "view_only": not may(request.user, "change"),
            }
        ],
    }


add_to(admin.site)
