"""The platform's keys: rotation announced ahead, agreement between nodes by way of the folder, nothing readable by others."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from fiveways.clock import ManualClock
from fiveways.errors import DeploymentError
from fiveways.security import jwt
from fiveways.security.keys import PlatformKeys

HOUR = timedelta(hours=1)


def test_the_first_key_is_made_and_found_again(tmp_path: Path, clock: ManualClock) -> None:
    first = PlatformKeys.open(tmp_path / "keys", clock, bits=2048)
    second = PlatformKeys.open(tmp_path / "keys", clock, bits=2048)
    assert first.current == second.current
    assert first.current.kid == first.current.public.thumbprint()


def test_only_the_owner_can_read_a_key(keys: PlatformKeys, tmp_path: Path, clock: ManualClock) -> None:
    folder = tmp_path / "keys"
    (path,) = folder.glob("*.pem")
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    path.chmod(0o640)
    with pytest.raises(DeploymentError, match="0600"):
        PlatformKeys.open(folder, clock)


@pytest.mark.parametrize("content", ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_file_that_is_no_key_is_refused(tmp_path: Path, clock: ManualClock, content: str) -> None:
    path = tmp_path / f"1-{'A' * 43}.pem"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(DeploymentError, match="not a private key"):
        PlatformKeys.open(tmp_path, clock)


def test_a_key_under_another_name_is_refused(keys: PlatformKeys, tmp_path: Path, clock: ManualClock) -> None:
    (path,) = (tmp_path / "keys").glob("*.pem")
    path.rename(path.with_name(f"1-{'A' * 43}.pem"))
    with pytest.raises(DeploymentError, match="another key"):
        PlatformKeys.open(tmp_path / "keys", clock)


def test_a_new_key_is_published_before_it_signs(keys: PlatformKeys, clock: ManualClock) -> None:
    old = keys.current
    new = keys.rotate()
    assert keys.current == old
    assert [key["kid"] for key in keys.jwks()["keys"]] == [new.kid, old.kid]
    assert keys.rotate() == new, "one that waits is kept"
    clock.advance(HOUR)
    assert keys.current == new
    assert keys.public(old.kid) is not None


def test_what_is_published_is_public(keys: PlatformKeys) -> None:
    (published,) = keys.jwks()["keys"]
    assert set(published) == {"kty", "n", "e", "kid", "use", "alg"}
    assert (published["use"], published["alg"]) == ("sig", "RS512")
    assert "private" not in repr(keys.current)


def test_a_retired_key_goes_when_its_last_token_has_expired(tmp_path: Path, clock: ManualClock) -> None:
    keys = PlatformKeys.open(tmp_path, clock, bits=2048, keep=timedelta(minutes=11))
    old = keys.current
    new = keys.rotate(lead=timedelta(minutes=1))
    clock.advance(timedelta(minutes=11))
    keys.maintain(timedelta(days=30))
    assert keys.public(old.kid) is not None
    clock.advance(timedelta(minutes=2))
    keys.maintain(timedelta(days=30))
    assert keys.public(old.kid) is None
    assert keys.current == new


def test_keys_rotate_when_their_time_comes(keys: PlatformKeys, clock: ManualClock) -> None:
    old = keys.current
    clock.advance(timedelta(days=29))
    keys.maintain(timedelta(days=30))
    assert len(keys.jwks()["keys"]) == 1
    clock.advance(timedelta(hours=23, minutes=1))
    keys.maintain(timedelta(days=30))
    assert len(keys.jwks()["keys"]) == 2
    assert keys.current == old
    clock.advance(HOUR)
    assert keys.current != old


def test_another_node_notices_a_new_key_and_a_withdrawn_one(tmp_path: Path, clock: ManualClock) -> None:
    here = PlatformKeys.open(tmp_path, clock, bits=2048)
    there = PlatformKeys.open(tmp_path, clock, bits=2048)
    old = here.current
    new = here.rotate(lead=timedelta(0))
    clock.advance(timedelta(seconds=1))
    assert there.public(new.kid) is not None
    assert there.current == new
    generation = there.generation
    here.withdraw(old.kid)
    clock.advance(timedelta(seconds=1))
    assert there.public(old.kid) is None
    assert there.generation > generation


def test_withdrawing_the_only_key_makes_another(keys: PlatformKeys) -> None:
    old = keys.current
    keys.withdraw(old.kid)
    assert keys.current != old
    keys.withdraw("unknown")


def test_a_node_whose_clock_is_behind_uses_the_first_key(keys: PlatformKeys, clock: ManualClock, tmp_path: Path) -> None:
    behind = ManualClock(clock.now() - HOUR)
    assert PlatformKeys.open(tmp_path / "keys", behind).current == keys.current


def test_a_bad_file_while_running_is_logged_once_and_stops_nothing(
    keys: PlatformKeys, tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    current = keys.current
    bad = tmp_path / "keys" / f"1-{'A' * 43}.pem"
    bad.write_text("")
    for _ in range(3):
        clock.advance(timedelta(seconds=1))
        assert keys.current == current
    assert [record.message for record in caplog.records] == ["a platform key cannot be used"]
    assert keys.generation == 1


def test_a_key_that_only_had_the_wrong_mode_is_taken_up_once_that_is_mended(
    keys: PlatformKeys, tmp_path: Path, clock: ManualClock
) -> None:
    new = PlatformKeys.open(tmp_path / "elsewhere", clock, bits=2048).current
    (made,) = (tmp_path / "elsewhere").glob("*.pem")
    copied = tmp_path / "keys" / made.name
    copied.write_bytes(made.read_bytes())
    copied.chmod(0o644)
    clock.advance(timedelta(seconds=1))
    assert keys.public(new.kid) is None
    copied.chmod(0o600)
    clock.advance(timedelta(seconds=1))
    assert keys.public(new.kid) is not None


def test_what_is_known_stays_while_the_folder_cannot_be_read(
    keys: PlatformKeys, tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    current = keys.current
    (tmp_path / "keys").rename(tmp_path / "away")
    clock.advance(timedelta(seconds=1))
    assert keys.current == current
    assert caplog.records[0].message == "the folder of platform keys cannot be read"


def test_left_over_temporary_files_are_ignored(keys: PlatformKeys, tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "keys" / ".1-x.pem.1234").write_text("half a key")
    assert PlatformKeys.open(tmp_path / "keys", clock).current == keys.current


def test_processes_starting_together_make_one_key(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from fiveways.clock import SystemClock;"
        "from fiveways.security.keys import PlatformKeys;"
        "print(PlatformKeys.open(Path(sys.argv[1]), SystemClock(), bits=2048).current.kid)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, env=environment, text=True)
        for _ in range(4)
    ]
    kids = {process.communicate(timeout=60)[0].strip() for process in running}
    assert len(kids) == 1
    assert len(list(tmp_path.glob("*.pem"))) == 1


def test_the_current_key_signs_what_its_public_half_verifies(keys: PlatformKeys) -> None:
    token = jwt.parse(keys.current.sign({"a": 1}, typ="receipt+jwt").encode(), limit=4096)
    public = keys.public(token.kid)
    assert public is not None
    assert token.is_signed_by(public)
    assert token.header["typ"] == "receipt+jwt"
