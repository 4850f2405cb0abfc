"""People who use a running site: by a program with a token, or by a browser with a session."""

from itertools import count
from pathlib import Path
from typing import Any

import httpx
from django.contrib.auth.models import AbstractBaseUser

from accounts import tokens
from accounts.models import User
from tests.stack import Stack
from tests.waiting import wait_until

PASSWORD = "a password of the tests"

numbers = count(1)


def new_email() -> str:
    """Of a person whom no other test knows."""
    return f"person{next(numbers)}@example.com"


class Client(httpx.Client):
    """A person's program. The person is made known to the site if need be."""

    def __init__(self, stack: Stack, email: str = "demo@example.com") -> None:
        self.answers: list[httpx.Response] = []
        with stack.inside():
            self.user: AbstractBaseUser = User.objects.filter(email=email).first() or User.objects.create_user(email)
            self.token = tokens.create(self.user, "tests")
        super().__init__(
            base_url=stack.url,
            headers={"Authorization": f"Bearer {self.token}"},
            timeout=30,
            event_hooks={"response": [self.answers.append]},
        )

    def upload(self, path: Path, **data: str) -> httpx.Response:
        with path.open("rb") as file:
            return self.post("/api/videos", files={"file": file}, data=data)

    def job(self, location: str) -> dict[str, Any]:
        return self.get(location).raise_for_status().json()

    def finished(self, location: str, timeout: float = 60) -> dict[str, Any]:
        """The job, once it has finished."""
        return wait_until(lambda: (job := self.job(location))["finished_at"] and job, timeout=timeout, every=0.1)


def sign_up(site: str, email: str) -> httpx.Response:
    """Fill in the form of the page `/signup`."""
    with httpx.Client(base_url=site, timeout=30) as visitor:
        visitor.get("/signup")
        form = {"email": email, "password": PASSWORD, "csrfmiddlewaretoken": visitor.cookies["csrftoken"]}
        return visitor.post("/signup", data=form)


class Visitor(httpx.Client):
    """The same person with a browser: logged in, with the cookies that this gave."""

    def __init__(self, stack: Stack, client: Client) -> None:
        super().__init__(base_url=stack.url, timeout=30)
        with stack.inside():
            if not client.user.check_password(PASSWORD):  # to set it again would log out the other visitors
                client.user.set_password(PASSWORD)
                client.user.save()
            email = client.user.get_username()
        self.get("/login")
        form = {"username": email, "password": PASSWORD, "csrfmiddlewaretoken": self.cookies["csrftoken"]}
        assert self.post("/login", data=form).status_code == 302

    @property
    def csrf(self) -> dict[str, str]:
        """The header that a script of our own pages sends along."""
        return {"X-CSRFToken": self.cookies["csrftoken"]}
