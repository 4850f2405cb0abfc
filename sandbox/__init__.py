"""A small Stripe for development and tests: a process of its own, which keeps its own books.

It speaks the part of Stripe's HTTP API that we use, as the official SDK asks for it, and it can be told to fail. It
imports nothing of ours, and nothing of ours imports it: what it says of a charge is independent evidence.

    app      what is asked and answered, and how a request may be repeated
    money    payment intents, charges and refunds
    ledger   what is kept, in an SQLite file
    faults   what is to go wrong next
    events   what is announced to the webhook of the site
"""
