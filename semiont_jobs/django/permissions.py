"""Who may view, change and delete jobs in the admin.

It must not know the admin.
"""

from __future__ import annotations

from typing import Any, Final

from django.db import router

ACTIONS: Final = ("view", "change", "delete")
"""View; retry and cancel; remove. The permissions are named ``auth.view_semiont_job`` and so on."""


def codename(action: str) -> str:
    """The permission's name, without its application."""
    return f"{action}_semiont_job"


def may(user: Any, action: str) -> bool:
    """Whether that user may do that."""
    return bool(user.has_perm(f"auth.{codename(action)}"))


def make_permissions(*, using: str, **_more: Any) -> None:
    """Create the permissions in that database, for users and groups: called after ``migrate``."""
    from django.contrib.auth.models import Permission
    from django.contrib.contenttypes.models import ContentType

    if not router.allow_migrate_model(using, Permission):
        return
    home = ContentType.objects.db_manager(using).get_for_model(Permission)
    for action in ACTIONS:
        Permission.objects.using(using).get_or_create(
            content_type=home,
            codename=codename(action),
            defaults={"name": f"Can {action} background jobs"},
        )
