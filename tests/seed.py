"""Migrates the database of the environment and makes the tests' standing users: owner, staff, team mate, outsider."""

import os

import django


def main() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "alertsite.settings"
    django.setup()
    from django.contrib.auth import get_user_model
    from django.contrib.auth.models import Permission
    from django.core.management import call_command

    from alerts.models import Call, Team
    from tests.live import PASSWORD

    call_command("migrate", verbosity=0)
    users = get_user_model().objects
    users.create_superuser("admin", password=PASSWORD)
    mate = users.create_user("mate", password=PASSWORD)
    users.create_user("outsider", password=PASSWORD)
    users.create_user("gone", password=PASSWORD, is_active=False)
    staff = users.create_user("staff", password=PASSWORD, is_staff=True)
    staff.user_permissions.add(Permission.objects.get(content_type__app_label="alerts", codename="view_alert"))
    red = Team.objects.create(slug="red")
    red.members.add(mate)
    Call.objects.create(call_id="red-call", team=red, started_at=0)
    Call.objects.create(call_id="blue-call", team=Team.objects.create(slug="blue"), started_at=0)


if __name__ == "__main__":
    main()
