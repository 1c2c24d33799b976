"""The report of an extraction, opened in a browser."""

import json
import re
import shutil
import subprocess

import pytest
from typer.testing import CliRunner

from artifex.generative_models.core.cli import build

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# What a person would notice: pictures that do not show, sounds that do not play, a page wider than the window.
PROBE = """
<script>
addEventListener("load", async () => {
  const sounds = [...document.querySelectorAll("audio")];
  await Promise.all(sounds.map(s => s.readyState ? 0 : new Promise(done => {
    s.addEventListener("loadedmetadata", done); s.addEventListener("error", done); s.load();
  })));
  document.title = JSON.stringify({
    pictures: [...document.images].map(i => i.complete && i.naturalWidth > 0),
    sounds: sounds.map(s => s.duration),
    overflow: document.documentElement.scrollWidth - innerWidth,
    fetched: performance.getEntriesByType("resource").map(r => r.name).filter(n => !n.startsWith("data:")),
  });
});
</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    out = tmp_path_factory.mktemp("extraction") / "features"
    command = [
        "extract",
        "--n-synthetic",
        "6",
        "--duration",
        "0.5",
        "--representation",
        "mel_spectrogram",
        "--out",
        str(out),
    ]
    assert CliRunner().invoke(build(), command).exit_code == 0
    probed = out.with_name("page.html")
    probed.write_text((out / "report.html").read_text(encoding="utf-8") + PROBE, encoding="utf-8")
    return probed


@pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")
@pytest.mark.parametrize("width", [1200, 400])
def test_pictures_show_sounds_play_and_nothing_is_fetched(page, tmp_path, width):
    assert BROWSER is not None
    dumped = subprocess.run(
        [
            BROWSER,
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
            *("--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}"),
            *(f"--window-size={width},1600", "--virtual-time-budget=10000", "--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    title = re.search(r"<title>(.*?)</title>", dumped, re.DOTALL)
    assert title is not None
    seen = json.loads(title[1].replace("&gt;", ">").replace("&amp;", "&"))
    assert len(seen["pictures"]) == len(seen["sounds"]) == 6
    assert all(seen["pictures"])
    assert seen["sounds"] == [pytest.approx(0.5)] * 6
    assert seen["overflow"] <= 0
    assert seen["fetched"] == []
