from typing import Any

from django.apps import AppConfig
from django.apps.registry import Apps
from django.apps.registry import apps as all_apps
from django.db.models.signals import post_migrate

ROLES = {"Observers": ["view_job"], "Operators": ["view_job", "operate_job"]}


class JobsConfig(AppConfig):
    name = "jobs"

    def ready(self) -> None:
        post_migrate.connect(make_groups, sender=self)


def make_groups(using: str, apps: Apps = all_apps, **_: Any) -> None:
    """The roles at the admin, as groups. One that exists is left as the site's people have made it."""
    try:
        groups, permissions = apps.get_model("auth", "Group").objects, apps.get_model("auth", "Permission").objects
    except LookupError:  # migrated back to before they were
        return
    for name, codenames in ROLES.items():
        group, made = groups.using(using).get_or_create(name=name)
        if made:
            mine = permissions.using(using).filter(content_type__app_label="jobs", codename__in=codenames)
            group.permissions.set(mine)
