from django.urls import path

from notifications import views

app_name = "notifications"
urlpatterns = [
    path("", views.bell, name="bell"),
    path("unseen", views.unseen, name="unseen"),
    path("webhooks", views.webhooks, name="webhooks"),
    path("webhooks/<uuid:endpoint_id>", views.endpoint, name="endpoint"),
    path("webhooks/<uuid:endpoint_id>/<uuid:delivery_id>", views.delivery, name="delivery"),
    path("webhooks/<uuid:endpoint_id>/change", views.change, name="change"),
    path("webhooks/<uuid:endpoint_id>/enable", views.enable, name="enable"),
    path("webhooks/<uuid:endpoint_id>/disable", views.disable, name="disable"),
    path("webhooks/<uuid:endpoint_id>/secret", views.rotate, name="rotate"),
    path("webhooks/<uuid:endpoint_id>/test", views.test, name="test"),
    path("webhooks/<uuid:endpoint_id>/replay", views.replay_range, name="replay_range"),
    path("webhooks/<uuid:endpoint_id>/delete", views.delete, name="delete"),
    path("webhooks/<uuid:endpoint_id>/<uuid:delivery_id>/replay", views.replay, name="replay"),
    path("settings", views.settings, name="settings"),
    path("unsubscribe/<str:token>", views.unsubscribe, name="unsubscribe"),
]
