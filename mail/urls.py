from django.urls import path

from mail import views

app_name = "mail"
urlpatterns = [
    path("", views.mails, name="inbox"),
    path("<slug:name>", views.mail, name="mail"),
    path("<slug:name>/html", views.html, name="html"),
]
