"""OpenSSH's own server, started for a benchmark: loopback, its own keys, its own accounts, and nothing of the machine's touched.

Taken from the machine where it is installed; otherwise Debian's package is fetched and unpacked into a folder, not installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
AuthorizedKeysFile {key}.pub
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
MaxStartups 100
PidFile none
LogLevel ERROR
Subsystem sftp internal-sftp
"""


def sshd(folder: Path, port: int, key: Path) -> tuple[list[str], dict[str, str]]:
    """A command that runs sshd in the foreground, and its environment. `key`: the private half of what lets `root` in.

    In a mount namespace of its own: /run, where it wants an empty folder, and /etc/passwd, where it wants a user for privilege
    separation, are others there. RuntimeError where there is no sshd to be had.
    """
    program, libraries = _found(folder)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "host_key")], check=True)
    config, people = folder / "sshd_config", folder / "passwd"
    config.write_text(CONFIG.format(port=port, folder=folder, key=key))
    known = Path("/etc/passwd").read_text()
    people.write_text(known if "\nsshd:" in known else f"{known}sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n")
    run, serve = "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd", f"exec {program} -D -e -f {config}"
    return ["unshare", "-m", "sh", "-c", f"{run} && mount --bind {people} /etc/passwd && {serve}"], {
        "LD_LIBRARY_PATH": libraries
    } if libraries else {}


def _found(folder: Path) -> tuple[Path, str]:
    there = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
    if there is not None:
        return Path(there), ""
    unpacked = folder / "openssh"
    unpacked.mkdir()
    for package in ("openssh-server", "libwrap0"):
        subprocess.run(["apt-get", "download", "-qq", package], cwd=unpacked, check=True, env={**os.environ, "LC_ALL": "C"})
    for fetched in unpacked.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(fetched), str(unpacked)], check=True)
    program = unpacked / "usr" / "sbin" / "sshd"
    if not program.exists():
        raise RuntimeError("no sshd on this machine, and none in Debian's package")
    libraries = {str(each.parent) for each in unpacked.rglob("libwrap.so*")}
    return program, ":".join(libraries)
