from django.urls import path

from reports import views

app_name = "reports"
urlpatterns = [
    path("", views.reports, name="reports"),
    path("<uuid:report_id>", views.report, name="report"),
    path("<uuid:report_id>/card", views.card, name="card"),
    path("<uuid:report_id>/again", views.again, name="again"),
    path("<uuid:report_id>/cancel", views.cancel, name="cancel"),
    path("<uuid:report_id>/requeue", views.requeue, name="requeue"),
]
