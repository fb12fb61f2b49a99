"""`fiveways demo --once` as it is run: every story, what is left out, and what breaks off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fiveways.demo.play import story_names
from fiveways.demo.signing_in import IdentityProviderError, fetch, find_browser
from fiveways.demo.stage import prepare

NO_NODE = "import fiveways.demo.signing_in as signing_in; signing_in.find_node = lambda: None"
NO_MESH_CLIENT = "sys.modules['mesh_client'] = None"
NO_BROWSER = "import fiveways.demo.nurse as nurse; nurse.find_browser = lambda: None"


def demo(folder: Path, *options: str, before: str = "pass", cache: Path | None = None) -> tuple[int, str]:
    """The demo in a process of its own, which runs `before` first: its exit code and what it printed.

    `cache`: where programs keep what they have fetched; left out, nothing was ever fetched.
    """
    program = f"import sys; {before}; sys.argv[0] = 'fiveways'; from fiveways.cli import main; main()"
    line = [sys.executable, "-c", program, "demo", "--once", "--folder", str(folder), *options]
    environment = {
        **os.environ,
        "XDG_CACHE_HOME": str(cache or folder / "nothing-fetched"),
        "PLAYWRIGHT_BROWSERS_PATH": str(folder / "no-browsers"),
    }
    ended = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=240, check=False)
    return ended.returncode, ended.stdout + ended.stderr


@pytest.fixture(scope="session")
def fetched(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with what people's story takes, on a machine that can play it."""
    assert request.config.cache is not None
    if find_browser() is None:
        pytest.skip("there is no Chromium on this machine")
    kept = request.config.cache.mkdir("node")
    try:
        fetch(kept)
    except IdentityProviderError as reason:
        pytest.skip(str(reason))
    cache = tmp_path_factory.mktemp("cache")
    (cache / "fiveways").symlink_to(kept)
    return cache


def changed(folder: Path, old: str, new: str) -> None:
    """The demo's deployment in `folder`, with something else in it."""
    file = prepare(folder)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.timeout(300)
def test_every_story_comes_out_as_expected_and_a_second_time_in_the_same_folder(tmp_path: Path, fetched: Path) -> None:
    code, out = demo(tmp_path, cache=fetched)
    assert code == 0, out
    assert "77 steps, each as expected." in out
    assert "the request is answered" in out
    assert "a REPORT with code 14: the request is failed" in out
    assert "“NHS CIS2 (stand-in)”" in out
    assert "both show the same 5 messages; the practice: “2 messages while you were away”" in out
    assert "2 attempts, one Idempotency-Key" in out or "3 attempts, one Idempotency-Key" in out
    assert "left out" not in out
    again = [name for name in story_names() if name != "people"]  # nothing of theirs is kept but sessions, which are over
    code, out = demo(tmp_path, *(part for name in again for part in ("--story", name)))
    assert code == 0, out
    assert "each as expected." in out


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (NO_NODE, "there is no Node.js with npm"),
        (NO_BROWSER, "it needs Chromium: install it, or call `playwright install chromium`"),
        ("sys.modules['playwright'] = None", "it needs Playwright, to drive a browser: pip install playwright"),
    ],
    ids=["node", "browser", "playwright"],
)
def test_a_story_that_was_asked_for_by_name_is_missed(tmp_path: Path, before: str, why: str) -> None:
    code, out = demo(tmp_path, "--story", "people", before=before)
    assert (code, f"left out: people: {why}" in out) == (1, True), out
    assert "as expected" not in out


@pytest.mark.parametrize(
    ("missing", "stories", "expected"), [(NO_NODE, "gateway", 0), (NO_MESH_CLIENT, "messaging", 1)], ids=["outside", "extra"]
)
def test_where_all_are_played_what_fiveways_does_not_bring_along_is_not_missed(
    tmp_path: Path, missing: str, stories: str, expected: int
) -> None:
    only = f"import fiveways.demo.play as play; play.story_names = lambda: ['{stories}', 'people']"
    code, out = demo(tmp_path, before=f"{NO_NODE}; {missing}; {only}")
    assert (code, "left out: people: " in out) == (expected, True), out
    assert (f"left out: {stories}: " in out) == bool(expected)


def test_without_mesh_client_the_story_that_needs_it_is_left_out_and_the_run_says_so(tmp_path: Path) -> None:
    code, out = demo(tmp_path, "--story", "messaging", before=NO_MESH_CLIENT)
    assert code == 1
    assert "left out: messaging: it needs mesh_client: pip install 'fiveways[client]'" in out
    assert "as expected" not in out


def test_a_folder_of_an_earlier_demo_has_no_mailboxes_and_the_story_is_left_out(tmp_path: Path) -> None:
    changed(tmp_path, "CLINIC_SLOT:", "ANOTHER_SLOT:")
    code, out = demo(tmp_path, "--story", "messaging")
    assert (code, "left out: messaging: " in out) == (1, True)
    assert "play it in another --folder" in out


def test_a_folder_of_an_earlier_demo_has_no_facades_and_the_story_is_left_out(tmp_path: Path) -> None:
    changed(tmp_path, "  pathology:  ", "  laboratory:  ")
    changed(tmp_path, "summary, medications, pathology, updates, old-pas]", "summary, medications, updates, old-pas]")
    code, out = demo(tmp_path, "--story", "facades")
    assert (code, "left out: facades: the deployment in" in out, "has no pathology" in out) == (1, True, True)


def test_a_folder_of_an_earlier_demo_has_nobody_who_vouches_for_people_and_the_story_is_left_out(tmp_path: Path) -> None:
    changed(tmp_path, "  bedside:  ", "  rounds:  ")
    changed(tmp_path, "{apis: [bedside]", "{apis: [rounds]")
    code, out = demo(tmp_path, "--story", "people")
    assert (code, "left out: people: " in out) == (1, True), out
    assert "play it in another --folder" in out


@pytest.mark.parametrize("missing", ["  beds:  ", "  live: {"], ids=["channel", "listener"])
def test_a_folder_of_an_earlier_demo_has_no_channels_and_the_story_is_left_out(tmp_path: Path, missing: str) -> None:
    changed(tmp_path, missing, missing.replace("beds", "wards").replace("live", "open"))
    code, out = demo(tmp_path, "--story", "realtime")
    assert (code, "left out: realtime: the deployment in" in out, "has no channels" in out) == (1, True, True), out


def test_without_a_browser_real_time_is_left_out_and_is_not_missed(tmp_path: Path) -> None:
    only = "import fiveways.demo.play as play; play.story_names = lambda: ['gateway', 'realtime']"
    code, out = demo(tmp_path, before=f"{NO_BROWSER}; {only}")
    assert (code, "left out: realtime: it needs Chromium" in out) == (0, True), out


@pytest.mark.parametrize("missing", ["  risk-batch:  ", "  waiting: {"], ids=["exchange", "listener"])
def test_a_folder_of_an_earlier_demo_has_no_exchanges_and_the_story_is_left_out(tmp_path: Path, missing: str) -> None:
    changed(tmp_path, missing, missing.replace("risk-batch", "risk-daily").replace("waiting", "held"))
    if "risk" in missing:
        changed(tmp_path, "scoring: {apis: [risk, risk-batch]", "scoring: {apis: [risk, risk-daily]")
        changed(tmp_path, "  risk-batch:\n    pattern", "  risk-daily:\n    pattern")
    else:
        changed(tmp_path, "listener: waiting", "listener: held")
    code, out = demo(tmp_path, "--story", "exchange")
    why = "has no risk-batch" if "risk" in missing else "has no long polls"
    assert (code, "left out: exchange: " in out, why in out) == (1, True, True), out


def test_a_story_that_breaks_off_is_not_as_expected(tmp_path: Path) -> None:
    changed(tmp_path, "to: [RXN-OUT]", "to: [A81001-IN]")
    code, out = demo(tmp_path, "--story", "messaging")
    assert code == 1
    assert "not as expected: messaging broke off: MeshError: " in out


@pytest.mark.parametrize("name", ["shared-key", "RXN-OUT", "A81001-IN", "cis2", "callback"])
def test_each_demo_has_secrets_of_its_own_and_keeps_them(tmp_path: Path, name: str) -> None:
    made = [(prepare(tmp_path / each).parent / "secrets" / name).read_text() for each in ("one", "two", "one")]
    assert made[0] == made[2] != made[1]
    assert (tmp_path / "one" / "secrets" / name).stat().st_mode & 0o077 == 0
