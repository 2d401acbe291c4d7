"""An issuer of web identities, as the OpenID Connect provider of a CI is one: its key is openssl's, of this test."""

import base64
import json
import subprocess
import time


def text(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Signs tokens. The server knows `keys_path`, the public part, from `--oidc-keys`."""

    def __init__(self, url, directory):
        self.url = url
        self.host = url.removeprefix("https://")
        self.key = directory / "issuer.pem"
        self.keys_path = directory / "keys.json"
        subprocess.run(["openssl", "genrsa", "-out", self.key, "2048"], check=True, capture_output=True)
        shown = subprocess.run(
            ["openssl", "rsa", "-in", self.key, "-noout", "-modulus"], check=True, capture_output=True, text=True
        )
        modulus = bytes.fromhex(shown.stdout.strip().removeprefix("Modulus="))
        keys = {"keys": [{"kty": "RSA", "kid": "k1", "use": "sig", "n": text(modulus), "e": text(b"\x01\x00\x01")}]}
        self.keys_path.write_text(json.dumps({url: keys}))

    def token(self, **changed):
        """A token for five minutes of the branch `main` of acme/shop; `changed` are other claims."""
        now = int(time.time())
        claims = {
            "iss": self.url, "aud": "sts.amazonaws.com", "sub": "repo:acme/shop:ref:refs/heads/main",
            "iat": now, "nbf": now, "exp": now + 300, **changed,
        }
        head = text(json.dumps({"alg": "RS256", "kid": "k1", "typ": "JWT"}).encode())
        signed = f"{head}.{text(json.dumps(claims).encode())}"
        made = subprocess.run(
            ["openssl", "dgst", "-sha256", "-sign", self.key], input=signed.encode(), capture_output=True, check=True
        )
        return f"{signed}.{text(made.stdout)}"
