from typing import Any

from django.conf import settings
from django.contrib.auth import views as auth
from django.contrib.messages.views import SuccessMessageMixin
from django.http import HttpRequest, HttpResponse
from django.urls import path, reverse_lazy

from accounts import views
from accounts.forms import LostPasswordForm
from accounts.models import User
from accounts.signals import access_withdrawn

# Under the names that Django and its admin know them by.


class WithdrawAccess:
    """For a form that changes the password of its `user`."""

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)  # type: ignore[misc]
        access_withdrawn.send(sender=User, user=form.user)
        return response


class ChooseNewPassword(WithdrawAccess, SuccessMessageMixin, auth.PasswordResetConfirmView):
    template_name = "accounts/new_password.html"
    success_url = reverse_lazy("login")
    success_message = "Your new password is set. Log in with it."


class ChangePassword(WithdrawAccess, SuccessMessageMixin, auth.PasswordChangeView):
    template_name = "accounts/change_password.html"
    success_url = reverse_lazy("account")
    success_message = "Your new password is set. All other browsers are logged out."


class LogOut(auth.LogoutView):
    """Django's own signal of it comes while the session still works, so whatever it closed could open again."""

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        user = request.user
        response = super().post(request, *args, **kwargs)
        if user.is_authenticated:
            access_withdrawn.send(sender=User, user=user)
        return response


login = auth.LoginView.as_view(
    template_name="accounts/login.html",
    redirect_authenticated_user=True,
    extra_context={"show_demo_users": settings.DEBUG},
)
lost_password = auth.PasswordResetView.as_view(template_name="accounts/lost_password.html", form_class=LostPasswordForm)
link_sent = auth.PasswordResetDoneView.as_view(template_name="accounts/link_sent.html")

urlpatterns = [
    path("signup", views.sign_up, name="sign_up"),
    path("login", login, name="login"),
    path("logout", LogOut.as_view(), name="logout"),
    path("password-reset", lost_password, name="password_reset"),
    path("password-reset/sent", link_sent, name="password_reset_done"),
    path("password-reset/<uidb64>/<token>", ChooseNewPassword.as_view(), name="password_reset_confirm"),
    path("account", views.account, name="account"),
    path("account/name", views.rename, name="rename"),
    path("account/password", ChangePassword.as_view(), name="password_change"),
    path("account/tokens", views.create_token, name="create_token"),
    path("account/tokens/<int:token_id>/revoke", views.revoke_token, name="revoke_token"),
]
