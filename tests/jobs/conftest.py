from typing import Any

import pytest


@pytest.fixture
def operator(db: None) -> Any:
    from tests.jobs.operators import staff

    return staff("operator@example.com", "Operators")


@pytest.fixture
def observer(db: None) -> Any:
    from tests.jobs.operators import staff

    return staff("observer@example.com", "Observers")
