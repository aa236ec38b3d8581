"""Programs of the machine that tests start: found, or the test is skipped and says so."""

import os
import shutil

import pytest


def program(name: str) -> str:
    """The program's path. Missing: the test is skipped, or fails where `REQUIRE_SERVICES` is set."""
    found = shutil.which(name)
    if found is None:
        told = f"{name} is not installed"
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail(told)
        pytest.skip(told)
    return found
