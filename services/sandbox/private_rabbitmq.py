"""A RabbitMQ node of our own on free loopback ports, called directly, not through a distribution's service wrapper."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from services.sandbox.control import HOST, ServersUnavailable, amqp_answers, free_port, wait_until
from services.sandbox.keeper import MARK, marked

# Erlang's schedulers spin while they wait; on two cores that steals the time of everything else.
ERLANG = "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
INSTALL = r"""
set -e
exec 9>/run/lock/waybill-install; flock -w 300 9
policy=/usr/sbin/policy-rc.d
kept=""
restore() { rm -f "$policy"; if [ -n "$kept" ]; then mv -f "$kept" "$policy"; fi; }
if [ -e "$policy" ] || [ -L "$policy" ]; then kept="$policy.before-waybill"; mv -f "$policy" "$kept"; fi
trap restore EXIT
trap 'exit 130' INT TERM HUP
printf '#!/bin/sh\nexit 101\n' > "$policy"; chmod 755 "$policy"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq -o DPkg::Lock::Timeout=120 || echo "apt-get update had errors, trying with the lists we have" >&2
apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=120 rabbitmq-server </dev/null 9>&-
"""


def binaries() -> Path | None:
    """The folder with the plain script; Debian's wrapper on PATH changes user and environment, so PATH comes last."""
    candidates = [Path("/usr/lib/rabbitmq/bin")]
    if (on_path := shutil.which("rabbitmq-server")) is not None:
        candidates.append(Path(on_path).resolve().parent)
    for candidate in candidates:
        if all((candidate / name).exists() for name in ("rabbitmq-server", "rabbitmqctl")):
            return candidate
    return None


def can_install() -> list[str] | None:
    """The prefix under which apt works for us ([] as root, sudo without a password otherwise), or None."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, timeout=20, check=False)
    return ["sudo", "-n"] if asked.returncode == 0 else None


def install(prefix: list[str], say: Callable[[str], None]) -> None:
    """apt installs rabbitmq-server without starting it: a broker on 5672 is not what anybody asked for."""
    say("RabbitMQ is not here: installing rabbitmq-server with apt (its service is not started) …")
    done = subprocess.run([*prefix, "sh", "-c", INSTALL], capture_output=True, text=True, timeout=900, check=False)
    if done.returncode != 0:
        raise ServersUnavailable(
            f"apt could not install rabbitmq-server: {(done.stdout + done.stderr).strip()[-1500:]}"
        )


class PrivateRabbitmq:
    """One throw-away node: own home, cookie, epmd and ports, no plugins."""

    def __init__(self, folder: Path, bin_folder: Path) -> None:
        self.port = free_port()
        self.password = secrets.token_urlsafe(18)
        self.home = folder / "rabbitmq"
        self.log = folder / "rabbitmq.log"
        self._folder = folder
        self._bin = bin_folder
        self._pid_file = self.home / "pid"
        self._environment = self._make_environment()

    @property
    def url(self) -> str:
        return f"amqp://waybill:{self.password}@{HOST}:{self.port}/"

    def create(self) -> None:
        self.home.mkdir(mode=0o700)
        cookie = self.home / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        (self.home / "plugins").write_text("[].\n")
        (self.home / "environment").write_text("")
        settings = {
            "listeners.tcp.1": f"{HOST}:{self.port}",
            "default_user": "waybill",
            "default_pass": self.password,
            "default_user_tags.administrator": "true",
            "disk_free_limit.absolute": "100MB",
            "vm_memory_high_watermark.relative": "0.3",
            "log.file.level": "warning",
            # Quorum queues keep what is in the write-ahead log in memory too; the default of 512 MB is for servers.
            "raft.wal_max_size_bytes": "134217728",
        }
        configuration = self.home / "rabbitmq.conf"
        configuration.touch(mode=0o600)
        configuration.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))

    def start(self) -> None:
        with self.log.open("ab") as log:
            server = subprocess.Popen(
                [self._bin / "rabbitmq-server"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=self.home,
                env=self._environment,
            )

        def ready() -> bool:
            if server.poll() is not None:
                raise ServersUnavailable(f"RabbitMQ ended at its start with exit code {server.returncode}")
            return amqp_answers(self.port)

        try:
            wait_until(ready, "RabbitMQ")
        except ServersUnavailable as late:
            raise ServersUnavailable(f"{late}\n{self.log.read_text(errors='replace')[-1500:]}") from None
        self._server = server

    def stop(self) -> None:
        """An orderly stop: SIGTERM to the virtual machine, about a second."""
        pid = self.pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGTERM)
        try:
            self._server.wait(60)
        except subprocess.TimeoutExpired:
            os.kill(pid, signal.SIGKILL)
            self._server.wait(10)

    def pid(self) -> int | None:
        """The virtual machine itself, not the shell script around it."""
        for process in marked(self._folder):
            try:
                if process.name().startswith("beam"):
                    return process.pid
            except psutil.Error:
                continue
        return None

    def import_definitions(self, definitions: Mapping[str, Any]) -> None:
        with tempfile.NamedTemporaryFile("w", dir=self.home, suffix=".json") as file:  # mode 600: it holds passwords
            json.dump(definitions, file)
            file.flush()
            self._ctl("import_definitions", file.name)

    def delete_vhost(self, name: str) -> None:
        self._ctl("delete_vhost", name)

    def _ctl(self, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / "rabbitmqctl", "--quiet", "--timeout", "60", *arguments],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            cwd=self.home,
            env=self._environment,
        )
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip()[-1500:]
            raise ServersUnavailable(f"rabbitmqctl {arguments[0]} failed: {said}")

    def _make_environment(self) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RABBITMQ_", "ERL_", "NOTIFY_SOCKET"))
        }
        home = self.home
        return inherited | {
            MARK: str(self._folder),
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": f"waybill-{secrets.token_hex(4)}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(home / "environment"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
            "RABBITMQ_SCHEMA_DIR": str(home / "schema"),
            "RABBITMQ_PID_FILE": str(self._pid_file),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
        }
