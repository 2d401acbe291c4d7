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
        """Forgets these resources and takes them back by their ids; `{address: [actions]}` of what that would change.

        An empty id stands for the one that the provider has given the resource.
        """
        shown = json.loads(self.run("show", "-json"))["values"]["root_module"]["resources"]
        own = {resource["address"]: resource["values"]["id"] for resource in shown if "id" in resource["values"]}
        self.run("state", "rm", *ids)
        blocks = [f'import {{\n  to = {address}\n  id = "{given or own[address]}"\n}}\n' for address, given in ids.items()]
        (self.directory / "import.tf").write_text("".join(blocks))
        self.run("plan", "-out=plan", *QUIET, *_options(variables))
        plan = json.loads(self.run("show", "-json", "plan"))
        self.run("apply", *QUIET, "plan")
        (self.directory / "import.tf").unlink()
        return {change["address"]: change["change"]["actions"] for change in plan["resource_changes"]}


def _options(variables):
    return [option for name, value in variables.items() for option in ("-var", f"{name}={value}")]
