"""`fiveways demo --once` as it is run: every story, what is left out, and what breaks off."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fiveways.demo.stage import prepare


def demo(folder: Path, *options: str, before: str = "pass") -> tuple[int, str]:
    """The demo in a process of its own, which runs `before` first: its exit code and what it printed."""
    program = f"import sys; {before}; sys.argv[0] = 'fiveways'; from fiveways.cli import main; main()"
    line = [sys.executable, "-c", program, "demo", "--once", "--folder", str(folder), *options]
    ended = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def changed(folder: Path, old: str, new: str) -> None:
    """The demo's deployment in `folder`, with something else in it."""
    file = prepare(folder)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_every_story_comes_out_as_expected_and_a_second_time_in_the_same_folder(tmp_path: Path) -> None:
    for _ in range(2):
        code, out = demo(tmp_path)
        assert code == 0, out
        assert "30 steps, each as expected." in out
        assert "the request is answered" in out
        assert "a REPORT with code 14: the request is failed" in out
        assert "left out" not in out


def test_without_mesh_client_the_story_that_needs_it_is_left_out_and_the_run_says_so(tmp_path: Path) -> None:
    code, out = demo(tmp_path, "--story", "messaging", before="sys.modules['mesh_client'] = None")
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
    changed(tmp_path, "summary, medications, pathology, updates]", "summary, medications, updates]")
    code, out = demo(tmp_path, "--story", "facades")
    assert (code, "left out: facades: the deployment in" in out, "has no pathology" in out) == (1, True, True)


def test_a_story_that_breaks_off_is_not_as_expected(tmp_path: Path) -> None:
    changed(tmp_path, "to: [RXN-OUT]", "to: [A81001-IN]")
    code, out = demo(tmp_path, "--story", "messaging")
    assert code == 1
    assert "not as expected: messaging broke off: MeshError: " in out


@pytest.mark.parametrize("name", ["shared-key", "RXN-OUT", "A81001-IN"])
def test_each_demo_has_secrets_of_its_own_and_keeps_them(tmp_path: Path, name: str) -> None:
    made = [(prepare(tmp_path / each).parent / "secrets" / name).read_text() for each in ("one", "two", "one")]
    assert made[0] == made[2] != made[1]
    assert (tmp_path / "one" / "secrets" / name).stat().st_mode & 0o077 == 0
