"""Hostile web pages in a real Chromium, against a server in open mode: none of them may command it (decision 25).

The pages send whatever a page can send without asking, and what it can only send after asking, each with a signature
that is invented as far as the browser lets it. What became of it is asked of the server afterwards.
"""

import datetime
import json
import re
import urllib.parse
import urllib.request

from harness.browser import PageServer, require_chromium
from harness.cases import Case

PREFIX = "AmazonEC2ContainerServiceV20141113"
FORM = "application/x-www-form-urlencoded"

SCRIPT = """
const calls = CALLS;
const said = {};
const attempt = async (name, run) => {
  try { said[name] = String(await Promise.race([run(), new Promise(done => setTimeout(() => done('no answer'), 5000))])); }
  catch (error) { said[name] = 'failed: ' + error; }
};
const element = (tag, attributes) => new Promise(done => {
  const made = document.createElement(tag);
  made.onload = () => done('loaded');
  made.onerror = () => done('error');
  Object.assign(made, attributes);
  document.body.append(made);
});
const form = (enctype, name, value) => () => new Promise(done => {
  const frame = document.createElement('iframe');
  frame.name = 'frame-' + Math.random();
  document.body.append(frame);
  frame.onload = () => done('submitted');
  const made = document.createElement('form');
  Object.assign(made, {method: 'POST', action: calls.url, enctype, target: frame.name});
  const input = document.createElement('input');
  Object.assign(input, {name, value, type: 'hidden'});
  made.append(input);
  document.body.append(made);
  made.submit();
});
const post = (headers, mode, credentials) => async () => {
  const answer = await fetch(calls.url, {method: 'POST', mode, headers, body: calls.body, credentials: 'omit'});
  return answer.status + ' ' + await answer.text();
};
const socket = () => new Promise(done => {
  const made = new WebSocket(calls.socket);
  made.onopen = () => done('OPEN');
  made.onerror = () => done('error');
});
(async () => {
  await attempt('form', form('application/x-www-form-urlencoded', 'Action', 'CreateCluster'));
  await attempt('form as text', form('text/plain', '{"clusterName":"page","x":"', '"}'));
  await attempt('text', post({'content-type': 'text/plain'}, 'no-cors'));
  await attempt('form by script', post({'content-type': 'application/x-www-form-urlencoded'}, 'no-cors'));
  await attempt('beacon', async () => navigator.sendBeacon(calls.url, new Blob([calls.body], {type: 'text/plain'})));
  await attempt('image', () => element('img', {src: calls.image}));
  await attempt('script', () => element('script', {src: calls.image}));
  await attempt('frame', () => element('iframe', {src: calls.image}));
  await attempt('signed header', async () => {
    const answer = await fetch(calls.plain, {method: 'POST', headers: calls.headers, body: calls.body});
    return answer.status + ' ' + await answer.text();
  });
  await attempt('who', async () => (await fetch(calls.who)).text());
  await attempt('metrics', async () => (await fetch(calls.metrics)).text());
  await attempt('socket', socket);
  await fetch('/done', {method: 'POST', body: JSON.stringify(said)});
})();
"""


def calls(base, cluster):
    """CreateCluster in every form that a page can send to `base`, with an invented signature."""
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"test/{now[:8]}/us-east-1/ecs/aws4_request"
    query = urllib.parse.urlencode(
        {
            "Action": "CreateCluster",
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": scope,
            "X-Amz-Date": now,
            "X-Amz-Expires": "900",
            "X-Amz-SignedHeaders": "host",
            "X-Amz-Signature": "0" * 64,
        }
    )
    # STS takes forms and URLs, which need no header.
    who = query.replace("Action=CreateCluster", "Action=GetCallerIdentity&Version=2011-06-15").replace("%2Fecs%2F", "%2Fsts%2F")
    signed = "content-type;host;x-amz-date;x-amz-target"
    return {
        "plain": f"{base}/",
        "url": f"{base}/?{query}",
        "image": f"{base}/?{query}&clusterName={cluster}",
        "who": f"{base}/?{who}",
        "metrics": f"{base}/metrics",
        "socket": f"{base.replace('http', 'ws', 1)}/acs/ws?{query}",
        "body": json.dumps({"clusterName": cluster}),
        "headers": {
            "content-type": "application/x-amz-json-1.1",
            "x-amz-date": now,
            "x-amz-target": f"{PREFIX}.CreateCluster",
            "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={signed}, Signature={'0' * 64}",
        },
    }


def page(base, cluster):
    script = SCRIPT.replace("CALLS", json.dumps(calls(base, cluster)))
    return f"<!doctype html><body><script>{script}</script></body>"


class ForeignPages(Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        require_chromium()
        cls.admitted = PageServer()
        cls.addClassCleanup(cls.admitted.close)
        cls.start_plane("server", "--cors-origin", f"http://127.0.0.1:{cls.admitted.port}")
        cls.address = urllib.parse.urlsplit(cls.plane.endpoint)

    @classmethod
    def start_plane(cls, verb, *options, port=0):
        # What a guest's key may do is what a page could do: the account of the key "test".
        super().start_plane(verb, "--auth", "open", *options, port=port)

    def clusters(self):
        return [arn.rsplit("/", 1)[1] for arn in self.ecs.list_clusters()["clusterArns"]]

    def refusals(self):
        """How many requests the server has refused as foreign."""
        with urllib.request.urlopen(f"{self.plane.endpoint}/metrics") as answer:
            # In the words of JSON, and of XML for what looks like a form or an image.
            counts = re.findall(r'code="AccessDenied(?:Exception)?"} (\d+)', answer.read().decode())
        return sum(map(int, counts))

    def test_a_page_on_another_port_of_this_machine_commands_nothing(self):
        server = PageServer()
        self.addCleanup(server.close)
        before = self.refusals()
        said = server.visit(page(self.plane.endpoint, "page"))
        self.assertEqual(self.clusters(), [], said)
        for name in ("text", "form by script"):
            self.assertEqual(said[name], "0 ", "what the server said is not shown to the page")
        for name in ("signed header", "who", "metrics", "socket"):
            self.assertRegex(said[name], "^(failed|error)", name)
        # They came through to the server, so it was the server that refused, not the browser alone.
        self.assertGreaterEqual(self.refusals() - before, 8, said)

    def test_a_name_that_is_pointed_at_the_server_commands_nothing(self):
        server = PageServer(rebound_to=(self.address.hostname, self.address.port))
        self.addCleanup(server.close)
        host = "rebound.example"
        before = self.refusals()
        said = server.visit(page(f"http://{host}:{server.port}", "rebound"), host)
        self.assertEqual(self.clusters(), [], said)
        # The browser takes the server for the page's own, so the page may read its refusals.
        for name in ("text", "form by script", "signed header"):
            self.assertRegex(said[name], "^403 ", name)
            self.assertIn("--allow-host", said[name])
        for name in ("who", "metrics"):
            self.assertIn("--allow-host", said[name])
        self.assertGreaterEqual(self.refusals() - before, 8, said)

    def test_an_admitted_front_end_commands(self):
        said = self.admitted.visit(page(self.plane.endpoint, "front-end"))
        self.assertRegex(said["signed header"], '^200 .*"clusterName":"front-end"')
        self.assertEqual(self.clusters(), ["front-end"], "and by that call alone")
        # Even where the page is let in: an invented signature counts in a header, which a browser asks about.
        self.assertIn("<Code>AccessDenied</Code>", said["who"])
        self.assertIn("Authorization header", said["who"])
        self.ecs.delete_cluster(cluster="front-end")
