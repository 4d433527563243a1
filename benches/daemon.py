"""Docker daemons for as long as they are timed."""

import os
import shutil
import subprocess
import time


class Daemon:
    """A daemon that `command` starts, with nothing in it, below the directory `place`; with its containerd's snapshots, where it
    has them. `environment` is that of its clients. Names of Docker Hub are looked for at `hub` first."""

    def __init__(self, command, place, hub=None):
        self.command = command
        self.place = place
        self.hub = hub
        self.host = f"unix://{place}/socket"
        self.environment = dict(
            os.environ, HOME=str(place), DOCKER_HOST=self.host, BUILDX_NO_DEFAULT_ATTESTATIONS="1"
        )

    def __enter__(self):
        self.place.mkdir(parents=True, exist_ok=True)
        (self.place / "daemon.json").write_text('{"features": {"containerd-snapshotter": true}}')
        flags = ["--iptables=false", "--ip6tables=false", "--ip-masq=false", "--bridge=none", "--host", self.host]
        places = {"config-file": "daemon.json", "data-root": "data", "exec-root": "run", "pidfile": "pid"}
        flags += [f"--{flag}={self.place / name}" for flag, name in places.items()]
        flags += [f"--registry-mirror=http://{self.hub}"] if self.hub else []
        log = self.place.with_suffix(".log")
        with open(log, "w") as out:
            self.process = subprocess.Popen([*self.command, *flags], stdout=out, stderr=out)
        quiet = subprocess.DEVNULL
        for _ in range(600):
            if not subprocess.run(["docker", "version"], env=self.environment, stdout=quiet, stderr=quiet).returncode:
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        raise SystemExit(f"dockerd does not start: see {log}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.place, ignore_errors=True)
