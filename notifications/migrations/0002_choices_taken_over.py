"""Take over the choices that were columns of the user, before those are dropped."""

from django.db import migrations

COLUMNS = [  # with what held for those who never chose
    ("mail_when_succeeded", False, "job.succeeded"),
    ("mail_when_dead", True, "job.dead"),
    ("mail_news", False, "news"),
]


def take_over(apps, schema_editor):
    User, Choice = apps.get_model("accounts", "User"), apps.get_model("notifications", "Choice")
    for column, default, event in COLUMNS:
        users = User.objects.filter(**{column: not default}).values_list("pk", flat=True)
        choices = (Choice(user_id=pk, event=event, channel="mail", wanted=not default) for pk in users.iterator())
        Choice.objects.bulk_create(choices, batch_size=1000)


class Migration(migrations.Migration):

    dependencies = [("notifications", "0001_choices"), ("accounts", "0002_people")]
    run_before = [("accounts", "0003_choices_moved")]

    operations = [migrations.RunPython(take_over, migrations.RunPython.noop)]
