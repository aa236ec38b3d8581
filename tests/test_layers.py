"""The arrows of the design: what hears knows no Django, what alerts knows no signal processing."""

import subprocess
import sys

import pytest

LAYERS = {
    "analysis": (
        ["analysis", "analysis.media", "analysis.bank", "analysis.ingest.twilio", "analysis.ingest.pcm"],
        ["django", "channels", "rest_framework", "alerts", "alertsite"],
    ),
    "alerts": (
        ["alerts.consumers", "alerts.api", "alerts.views", "alerts.urls", "alerts.admin", "alerts.wording"],
        ["analysis", "alertsite", "numpy", "scipy"],
    ),
}
PROGRAM = """
import importlib, sys
if {django}:
    import os, django
    from django.conf import settings
    settings.configure(
        INSTALLED_APPS=["django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
                        "django.contrib.sessions", "django.contrib.messages", "alerts"],
        DATABASES={{}}, SECRET_KEY="x", ROOT_URLCONF="alerts.urls",
    )
    django.setup()
for name in {modules}:
    importlib.import_module(name)
print(sorted(name for name in {banned} if name in sys.modules))
"""


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_nothing_from_where_its_arrows_must_not_point(layer: str) -> None:
    modules, banned = LAYERS[layer]
    program = PROGRAM.format(django=layer == "alerts", modules=modules, banned=banned)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
