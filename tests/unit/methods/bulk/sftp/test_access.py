"""Settings of the server and of a partner's access, keys, passwords, guessers, rates."""

from __future__ import annotations

import multiprocessing
from datetime import timedelta
from pathlib import Path

import asyncssh
import pytest
from pydantic import ValidationError

from fiveways.clock import ManualClock
from fiveways.errors import DeploymentError, StoreError
from fiveways.methods.bulk.sftp import passwords
from fiveways.methods.bulk.sftp.guessers import Guessers, address_of
from fiveways.methods.bulk.sftp.host_keys import host_keys
from fiveways.methods.bulk.sftp.partners import resolve, within
from fiveways.methods.bulk.sftp.settings import Access, LockOut, SftpSettings
from fiveways.methods.bulk.sftp.throttle import Throttle

KEY = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


def test_no_cipher_of_the_defaults_is_slow_or_old() -> None:
    assert all(cipher.startswith("aes") for cipher in SftpSettings().ciphers)
    assert SftpSettings().ciphers == ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")


@pytest.mark.parametrize(
    "said",
    [{}, {"keys": ["rubbish"]}, {"password": "correct horse"}, {"keys": [KEY], "principals": ["a"]},
     {"keys": [KEY], "addresses": ["10.0.0.1/8"]}, {"keys": [KEY], "rate": "1B"}],
)  # fmt: skip
def test_access_that_is_none(said: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Access.model_validate(said)


def test_keys_are_read_from_files_and_checked(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"# ours\n{KEY}\n\n{KEY} again\n")
    partner = resolve("trust", Access(keys=("file:keys",)), tmp_path)
    assert list(partner.keys.values()) == [asyncssh.import_public_key(KEY).get_fingerprint()]
    weak = asyncssh.generate_private_key("ssh-rsa", key_size=1024).export_public_key().decode().strip()
    (tmp_path / "empty").write_text("# none\n")
    for written, why in (
        (weak, "1024 bits"),
        ("file:none", "cannot be read"),
        ("file:empty", "no key"),
        (KEY[:40], "no public key"),
    ):
        with pytest.raises(DeploymentError, match=why):
            resolve("trust", Access(keys=(written,)), tmp_path)


@pytest.mark.parametrize(
    ("address", "network", "inside"),
    [("10.1.2.3", "10.0.0.0/8", True), ("::ffff:10.1.2.3", "10.0.0.0/8", True), ("11.1.2.3", "10.0.0.0/8", False),
     ("2001:db8::1", "2001:db8::/32", True), ("2001:db8::1", "10.0.0.0/8", False),
     ("fe80::1%eth0", "fe80::/10", True), ("", "::/0", False)],
)  # fmt: skip
def test_addresses_inside_networks(address: str, network: str, inside: bool) -> None:
    networks = Access.model_validate({"keys": [KEY], "addresses": [network]}).addresses
    assert within(address, networks) is inside


@pytest.mark.anyio
async def test_a_password_matches_its_hash_and_no_other() -> None:
    hash_ = passwords.hashed("correct horse")
    assert "horse" not in hash_
    assert passwords.checked(hash_) == hash_
    assert await passwords.matches("correct horse", hash_)
    assert not await passwords.matches("correct horsf", hash_)
    assert not await passwords.matches("correct horse", passwords.NOBODYS)
    assert passwords.checked(passwords.NOBODYS)
    for wrong in ("", "correct horse", hash_.replace("scrypt:15", "scrypt:30"), hash_[:-2]):
        with pytest.raises(ValueError, match="bulk password"):
            passwords.checked(wrong)


def test_a_wrong_hash_is_not_shown() -> None:
    with pytest.raises(ValidationError) as told:
        Access.model_validate({"password": "hunter2"})
    assert "scrypt" in str(told.value)


def test_so_many_failures_in_so_long_lock_out_for_so_long() -> None:
    clock = ManualClock()
    guessers = Guessers(LockOut(failures=3, within=timedelta(minutes=1), lasts=timedelta(minutes=5)), clock)
    assert [guessers.failed("a"), guessers.failed("a"), guessers.failed("b")] == [False] * 3
    clock.advance(timedelta(seconds=61))
    assert not guessers.failed("a")  # the first ones are too long ago
    assert not guessers.failed("a")
    assert guessers.failed("a")
    assert guessers.locked("a")
    assert not guessers.locked("b")
    clock.advance(timedelta(minutes=5))
    assert not guessers.locked("a")
    guessers.failed("b")
    guessers.failed("b")
    guessers.succeeded("b")
    assert not guessers.failed("b")


def test_an_ipv6_host_has_one_address() -> None:
    assert address_of("2001:db8:1:2::3") == address_of("2001:db8:1:2:ffff::4") != address_of("2001:db8:1:3::3")
    assert address_of("::ffff:192.0.2.1") == address_of("192.0.2.1") == "192.0.2.1"


def test_bytes_beyond_the_rate_are_waited_for() -> None:
    clock = ManualClock()
    throttle = Throttle(1000, clock)
    assert throttle.take(1000) == 0
    assert throttle.take(500) == pytest.approx(0.5)
    assert throttle.take(500) == pytest.approx(1.0)
    clock.advance(timedelta(seconds=100))
    assert throttle.take(1000) == 0  # a second's, and no more however long nothing was taken
    assert throttle.take(1000) == pytest.approx(1.0)


def _made(folder: str) -> list[str]:
    return [key.get_fingerprint() for key in host_keys(Path(folder))]


def test_host_keys_are_made_once_whoever_is_first_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "keys"
    with multiprocessing.get_context("fork").Pool(3) as pool:
        found = pool.map(_made, [str(folder)] * 3)
    assert found[0] == found[1] == found[2] == _made(str(folder))
    assert sorted(each.name for each in folder.iterdir()) == [
        "ssh_host_ed25519_key", "ssh_host_ed25519_key.pub", "ssh_host_rsa_key", "ssh_host_rsa_key.pub",
    ]  # fmt: skip
    assert {oct(each.stat().st_mode & 0o777) for each in folder.glob("*_key")} == {"0o600"}
    (folder / "ssh_host_rsa_key").write_text("rubbish")
    with pytest.raises(StoreError, match="holds no key"):
        host_keys(folder)
