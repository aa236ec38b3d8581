"""Programs of the machine that tests start: found, or the test is skipped and says so."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest


def program(name: str) -> str:
    """The program's path. Missing: the test is skipped, or fails where `REQUIRE_SERVICES` is set."""
    found = shutil.which(name)
    if found is None:
        missing(f"{name} is not installed")
    return found


def missing(told: str) -> NoReturn:
    """Skips the test, or fails it where `REQUIRE_SERVICES` is set."""
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(told)
    pytest.skip(told)


def node_with(package: str, folder: Path) -> str:
    """The path of Node.js, with a package of npm's in a folder; skipped or failed where that cannot be had."""
    node = program("node")
    npm = [program("npm"), "install", "--no-audit", "--no-fund", "--silent", "--prefix", str(folder), package]
    if subprocess.run(npm, capture_output=True, timeout=120).returncode != 0:
        missing(f"npm cannot install {package}")
    return node
