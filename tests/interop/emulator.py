"""The emulators as a process of their own, for the checks of clients from PyPI."""

import json
import os
import subprocess
import tempfile
import urllib.request

# Loopback only: a proxy of this machine is not meant for it.
for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
    os.environ.pop(name, None)


class Emulator:
    """`d365map emulate` on free ports, with a seed and options of the command."""

    def __init__(self, program, seed=None, *options):
        self.folder = tempfile.TemporaryDirectory()
        path = os.path.join(self.folder.name, "seed.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(seed or {}, file)
        command = [program, "emulate", "--contacts", "0", "--seed", path, "--format", "json", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{program} did not start")
        said = json.loads(line)
        self.dataverse, self.admin = said["dataverse"], said["admin"]["url"]
        self.url = self.dataverse["url"]
        self.api = f"{self.url}/api/data/v9.2/"

    def dump(self, table):
        """The rows of a table, by the admin interface."""
        with urllib.request.urlopen(f"{self.admin}/dump/table/{table}", timeout=10) as answer:
            return json.load(answer)

    def order(self, method, path, body=None):
        """A request to the admin interface that must succeed."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.admin}/{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)
        self.process.stdout.close()
        self.folder.cleanup()
