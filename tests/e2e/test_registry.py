"""The registry, as Docker and boto3 use it: log in, push, pull, mount, delete, and start again."""

import base64
import os
import shutil
import subprocess
import unittest

from harness import docker
from harness.cases import WEB_1, WEB_2, ServerCase
from harness.process import free_port


class Registry(ServerCase):
    needs_engine = True

    @classmethod
    def setUpClass(cls):
        cls.port = free_port()
        super().setUpClass()
        if shutil.which("docker") is None:
            raise unittest.SkipTest("no docker command on this machine")
        cls.config = cls.directory / "docker"

    def docker(self, *arguments, stdin=None):
        """What the command printed, and how it ended. Its credentials are in a directory of the test."""
        env = {**os.environ, "DOCKER_CONFIG": str(self.config)}
        done = subprocess.run(
            ["docker", *arguments], input=stdin, env=env, capture_output=True, text=True, timeout=120, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def does(self, *arguments, stdin=None):
        code, text = self.docker(*arguments, stdin=stdin)
        self.assertEqual(code, 0, f"docker {arguments}: {text}")
        return text

    def fails(self, part, *arguments, stdin=None):
        code, text = self.docker(*arguments, stdin=stdin)
        self.assertNotEqual(code, 0, f"docker {arguments}: {text}")
        self.assertIn(part, text)

    def log_in(self):
        """As `aws ecr get-login-password | docker login` does; the registry's host."""
        data = self.client_of("ecr").get_authorization_token()["authorizationData"]
        self.assertEqual(len(data), 1)
        host = data[0]["proxyEndpoint"].split("://")[1]
        user, password = base64.b64decode(data[0]["authorizationToken"]).decode().split(":", 1)
        self.assertEqual(user, "AWS")
        self.does("login", "--username", user, "--password-stdin", host, stdin=password)
        return host

    def make(self, name, **others):
        """A repository; its URI."""
        made = self.client_of("ecr").create_repository(repositoryName=name, **others)["repository"]
        return made["repositoryUri"]

    def tag(self, image, name):
        self.does("tag", image, name)
        self.addCleanup(self.docker, "rmi", "--force", name)

    def test_docker_pushes_and_pulls(self):
        host = self.log_in()
        uri = self.make("life/web")
        self.assertEqual(uri, f"{host}/life/web")
        self.tag(WEB_1, f"{uri}:1")
        first = self.does("push", f"{uri}:1")
        self.assertIn("Pushed", first)
        self.assertIn("Layer already exists", self.does("push", f"{uri}:1"))

        ecr = self.client_of("ecr")
        detail = ecr.describe_images(repositoryName="life/web", imageIds=[{"imageTag": "1"}])["imageDetails"][0]
        self.assertIn(detail["imageDigest"], first)
        self.assertEqual(detail["imageTags"], ["1"])
        self.assertGreater(detail["imageSizeInBytes"], 100_000)

        self.does("rmi", f"{uri}:1")
        self.does("pull", f"{uri}:1")
        self.does("pull", f"{uri}@{detail['imageDigest']}")
        self.assertTrue(docker.has_image(f"{uri}:1"))

        # The layers are there already.
        other = self.make("life/other")
        self.tag(WEB_1, f"{other}:1")
        self.assertIn("Mounted from", self.does("push", f"{other}:1"))

        gone = ecr.batch_delete_image(repositoryName="life/web", imageIds=[{"imageDigest": detail["imageDigest"]}])
        self.assertEqual(gone["failures"], [])
        self.fails("not found", "pull", f"{uri}:1")
        self.does("pull", f"{other}:1")

    def test_what_is_refused_is_told(self):
        host = self.log_in()
        self.tag(WEB_1, f"{host}/nowhere/web:1")
        self.fails("does not exist", "push", f"{host}/nowhere/web:1")
        uri = self.make("refused/fixed", imageTagMutability="IMMUTABLE")
        self.tag(WEB_1, f"{uri}:1")
        self.does("push", f"{uri}:1")
        self.does("push", f"{uri}:1")
        self.tag(WEB_2, f"{uri}:1")
        self.fails("cannot be overwritten because the repository is immutable", "push", f"{uri}:1")
        self.fails("nauthorized", "login", "--username", "AWS", "--password-stdin", host, stdin="wrong")

    def test_images_are_there_after_a_restart(self):
        self.log_in()
        uri = self.make("again/web")
        self.tag(WEB_1, f"{uri}:1")
        self.does("push", f"{uri}:1")
        self.plane.kill()
        self.plane.start()
        self.does("rmi", f"{uri}:1")
        # The password stands for the same key as before.
        self.does("pull", f"{uri}:1")


if __name__ == "__main__":
    unittest.main()
