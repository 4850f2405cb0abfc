from django.urls import path

from notifications.browser import JobsConsumer

urlpatterns = [path("ws/jobs/", JobsConsumer.as_asgi())]
