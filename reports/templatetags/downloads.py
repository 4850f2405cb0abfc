from django import template
from django.contrib.auth.models import AbstractBaseUser

from files import serving
from reports.models import Report

register = template.Library()


@register.simple_tag
def download_url(report: Report, viewer: AbstractBaseUser) -> str:
    """Where `viewer`, who is looking at the page, can fetch the file of the report."""
    return serving.address(report.file, viewer.pk)
