from django.urls import path

from orders import views, webhooks

app_name = "orders"
urlpatterns = [
    path("shop/", views.shop, name="shop"),
    path("orders/", views.orders, name="orders"),
    path("orders/<uuid:order_id>", views.order, name="order"),
    path("orders/<uuid:order_id>/card", views.card, name="card"),
    path("webhooks/payments", webhooks.receive, name="webhook"),
]
