"""The page of a call: `python -m analysis FILE --html OUT`, opened from the disk in Chromium with no network."""

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.live import ROOT
from tests.services import program

SAMPLE = ROOT / "samples" / "call.wav"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "call.html"
    command = [sys.executable, "-m", "analysis", str(SAMPLE), "--json", "--html", str(path)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120).returncode == 0
    return path


@pytest.fixture
async def page(written: Path) -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
        context = await browser.new_context(offline=True)
        page = await context.new_page()
        page.on("pageerror", lambda error: pytest.fail(f"the page failed: {error}"))
        await page.add_init_script(
            "addEventListener('securitypolicyviolation', (e) => (window.violations ??= []).push(e.violatedDirective))"
        )
        await page.goto(written.as_uri())
        yield page
        assert await page.evaluate("window.violations ?? []") == []
        await browser.close()


async def test_the_page_shows_the_call_as_it_was(page: Page) -> None:
    await expect(page.get_by_text("A call of 1:00.960")).to_be_visible()
    await expect(page.locator("svg .speech")).not_to_have_count(0)
    assert len(await page.locator("svg path.level").first.get_attribute("d") or "") > 1000
    rows = await page.get_by_role("row").all_inner_texts()
    assert any(re.search(r"long pause", row) for row in rows)
    assert any(re.search(r"caller\s+0:2\d.\d+\s+\d+ %\s+-2\d\.\d dBov", row) for row in rows)
    titles = await page.locator("svg .found title").all_text_contents()
    assert any(title.startswith("overlap, low, at 0:06.240 for 0.8 s") for title in titles)


async def test_it_zooms_and_moves_by_keys_and_shows_what_the_table_points_at(page: Page) -> None:
    shown = page.locator("#shown")
    await page.locator("svg.timeline").focus()
    await page.keyboard.press("+")
    await expect(shown).to_have_text("Showing 0:15.240 to 0:45.720")
    await page.keyboard.press("Home")
    await expect(shown).to_have_text("Showing 0:00 to 0:30.480")
    await page.keyboard.press("0")
    await expect(shown).to_have_text("Showing 0:00 to 1:00.960")
    await page.get_by_role("button", name="0:15.600").click()
    await expect(shown).to_have_text("Showing 0:13.100 to 0:22.100")


def test_the_policys_hashes_do_not_depend_on_the_call(written: Path, tmp_path: Path) -> None:
    other, name = tmp_path / "other.html", tmp_path / "<script>alert(1).wav"
    name.write_bytes(SAMPLE.read_bytes()[: 44 + 8000 * 4 * 3])
    subprocess.run([sys.executable, "-m", "analysis", str(name), "--html", str(other)], cwd=ROOT, capture_output=True)
    policies = [
        re.search(r"Content-Security-Policy\" content=\"([^\"]*)", path.read_text()) for path in (written, other)
    ]
    assert policies[0] is not None
    assert policies[1] is not None
    assert policies[0].group(1) == policies[1].group(1)
    assert "<script>alert" not in other.read_text()


def test_a_page_that_cannot_be_written_is_named_before_anything_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "call.html"
    command = [sys.executable, "-m", "analysis", str(SAMPLE), "--html", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"{path}: No such file or directory\n")
