"""What operators see and do: used by the admin, by `manage.py jobs` and by the bulk task alike."""
