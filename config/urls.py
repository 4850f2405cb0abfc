from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views as auth
from django.urls import include, path
from django.views.generic import RedirectView

from config.api import api
from config.health import health

admin.site.site_header = admin.site.site_title = "Nightshift"
admin.site.index_title = "Operations"

login = auth.LoginView.as_view(redirect_authenticated_user=True, extra_context={"show_demo_users": settings.DEBUG})

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="videos:library")),
    path("videos/", include("videos.urls")),
    path("login", login, name="login"),
    path("logout", auth.LogoutView.as_view(), name="logout"),
    path("api/", api.urls),
    path("admin/", admin.site.urls),
    path("health", health),
]
