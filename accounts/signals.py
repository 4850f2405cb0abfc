from django.dispatch import Signal

# Sent with `user` once they have logged out, their password was changed or a token revoked: what is open under it is to
# be closed.
access_withdrawn = Signal()
