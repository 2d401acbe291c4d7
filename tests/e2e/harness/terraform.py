"""Terraform with AWS's provider against a control plane: the provider is told where that is, and nothing else.

Neither comes from a registry of packages, so nothing installs them: what needs them is skipped where they are not.
"""

import json
import os
import pathlib
import shutil
import subprocess
import unittest

from .wait import STRETCH

# A directory as `terraform providers mirror` makes it.
PROVIDERS = pathlib.Path(os.environ.get("LONGSHORE_E2E_TERRAFORM_PROVIDERS", "/opt/tf-plugins"))
PROGRAM = shutil.which("terraform")

QUIET = ("-input=false", "-no-color")


def require_terraform():
    if PROGRAM is None or not PROVIDERS.is_dir():
        raise unittest.SkipTest("no Terraform with a mirror of providers (LONGSHORE_E2E_TERRAFORM_PROVIDERS)")


class Terraform:
    """One configuration in a directory of its own, initialised."""

    def __init__(self, directory, plane, configuration):
        require_terraform()
        self.directory = pathlib.Path(directory)
        self.directory.mkdir()
        mirror = f'provider_installation {{\n  filesystem_mirror {{\n    path = "{PROVIDERS}"\n  }}\n}}\n'
        (self.directory / "rc").write_text(mirror)
        (self.directory / "main.tf").write_text(configuration)
        # What `source env` gives a shell, and nothing of this one.
        self.environment = {
            **plane.env,
            "PATH": "/usr/bin:/bin",
            "TF_CLI_CONFIG_FILE": str(self.directory / "rc"),
            "HOME": str(self.directory),
        }
        self.run("init", *QUIET)

    def run(self, *arguments):
        """`terraform ARGUMENTS`, which must succeed; what it prints."""
        code, out, err = self.ended(*arguments)
        assert code == 0, f"terraform {' '.join(arguments)} ended with {code}: {out}\n{err}"
        return out

    def ended(self, *arguments):
        """Exit code, standard output and standard error of `terraform ARGUMENTS`."""
        done = subprocess.run(
            [PROGRAM, *arguments], cwd=self.directory, env=self.environment, capture_output=True, text=True,
            timeout=300 * STRETCH, check=False,
        )
        return done.returncode, done.stdout, done.stderr

    def apply(self, **variables):
        return self.run("apply", "-auto-approve", *QUIET, *_options(variables))

    def must_plan_nothing(self, **variables):
        """An empty plan ends with 0, one with changes with 2."""
        self.run("plan", "-detailed-exitcode", *QUIET, *_options(variables))

    def destroy(self, **variables):
        self.run("destroy", "-auto-approve", *QUIET, *_options(variables))

    def outputs(self):
        return {name: output["value"] for name, output in json.loads(self.run("output", "-json")).items()}

    def import_again(self, ids, **variables):
        """Forgets these resources and takes them back by their ids; how much that would `add`, `change` and `remove`.

        An empty id stands for the one that the provider has given the resource.
        """
        own = {}
        for resource in json.loads(self.run("state", "pull"))["resources"]:
            for instance in resource["instances"]:
                index = f"[{instance['index_key']}]" if "index_key" in instance else ""
                own[f"{resource['type']}.{resource['name']}{index}"] = instance["attributes"].get("id")
        self.run("state", "rm", *ids)
        blocks = [f'import {{\n  to = {address}\n  id = "{given or own[address]}"\n}}\n' for address, given in ids.items()]
        (self.directory / "import.tf").write_text("".join(blocks))
        told = self.run("apply", "-auto-approve", "-input=false", "-json", *_options(variables))
        (self.directory / "import.tf").unlink()
        messages = [json.loads(line) for line in told.splitlines()]
        planned = next(message["changes"] for message in messages if message["type"] == "change_summary")
        assert planned["import"] == len(ids), planned
        return {name: planned[name] for name in ("add", "change", "remove")}


def _options(variables):
    return [option for name, value in variables.items() for option in ("-var", f"{name}={value}")]
