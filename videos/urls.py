from django.urls import path

from videos import views

app_name = "videos"
urlpatterns = [
    path("", views.library, name="library"),
    path("<uuid:video_id>", views.video, name="video"),
    path("<uuid:video_id>/card", views.card, name="card"),
    path("public", views.public, name="public"),
    path("<uuid:video_id>/share", views.share, name="share"),
    path("<uuid:video_id>/link", views.renew_link, name="renew_link"),
    path("<uuid:video_id>/replace", views.replace, name="replace"),
    path("<uuid:video_id>/keep", views.keep, name="keep"),
    path("<uuid:video_id>/cancel", views.cancel, name="cancel"),
    path("<uuid:video_id>/requeue", views.requeue, name="requeue"),
    path("<uuid:video_id>/delete", views.delete, name="delete"),
]
