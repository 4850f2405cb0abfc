from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from accounts.urls import LogOut
from config.api import api
from config.health import health
from videos.views import watch

admin.site.site_header = admin.site.site_title = "Nightshift"
admin.site.index_title = "Operations"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="videos:library")),
    path("videos/", include("videos.urls")),
    path("v/<str:link>", watch, name="watch"),
    path("", include("orders.urls")),
    path("reports/", include("reports.urls")),
    path("", include("accounts.urls")),
    path("notifications/", include("notifications.urls")),
    path("api/", api.urls),
    path("admin/logout/", LogOut.as_view()),  # in place of the admin's own
    path("admin/", admin.site.urls),
    path("health", health),
]
if settings.DEBUG and settings.EMAIL["EMAIL_FILE_PATH"]:
    urlpatterns.append(path("inbox/", include("mail.urls")))  # shows everybody's mail
