"""botocore judges the protocols: what it sends is read, and what is written it reads, for every operation with shapes.
Our client is judged by the same: it writes what botocore writes, and reads of an answer what botocore reads.

Values are drawn from the service's own model, from a seed that is printed; LONGSHORE_JUDGE_SEED replays one.
"""

import base64
import datetime
import io
import json
import os
import pathlib
import random
import subprocess
import sys
import types
import unittest
import urllib.parse

import botocore.awsrequest
import botocore.config
import botocore.eventstream
import botocore.exceptions
import botocore.handlers
import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.serialize
import botocore.session

ROOT = pathlib.Path(__file__).resolve().parents[2]
JUDGE = pathlib.Path(os.environ.get("LONGSHORE_JUDGE_BIN", ROOT / "target" / "debug" / "longshore-judge"))
SEED = int(os.environ.get("LONGSHORE_JUDGE_SEED", random.SystemRandom().randrange(2**32)))

# What our client writes and reads (longshore_wire::client).
SPOKEN = ["json-1.0", "json-1.1", "query", "ec2", "smithy-rpc-v2-cbor"]

# How deep values nest, and how many are drawn for each operation and protocol.
DEPTH_MAX = 6
DRAWS = int(os.environ.get("LONGSHORE_JUDGE_DRAWS", "4"))

TEXTS = ["a", "Abc-1", "ü/ñ", "x y+z&=%", "<a href=\"b\">'&", "line\nfeed", "日本", "0", "true", "a.b.c", "~*()!"]
# Headers carry less: botocore refuses or strips the rest itself.
HEADER_TEXTS = ["a", "Abc-1", "x y", "0"]


class Judge:
    def __init__(self):
        self.child = subprocess.Popen([str(JUDGE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **question):
        self.child.stdin.write(json.dumps(question) + "\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    def close(self):
        self.child.stdin.close()
        self.child.wait()
        self.child.stdout.close()


class Drawing:
    """Random values for shapes, as botocore takes them."""

    def __init__(self, chance):
        self.chance = chance

    def value(self, shape, depth=0, name=None):
        location = shape.serialization.get("location") if name else None
        kind = shape.type_name
        if kind == "structure":
            if shape.is_document_type:
                return {"any": [1, "two", None]}
            return self.structure(shape, depth)
        if kind == "list":
            # An empty list is not told from an absent one in some protocols.
            drawn = [self.value(shape.member, depth + 1) for _ in range(self.chance.randint(1, 12 if depth < 2 else 2))]
            return [element for element in drawn if not is_empty(element)]
        if kind == "map":
            count = self.chance.randint(1, 3)
            entries = {self.key(shape.key): self.value(shape.value, depth + 1) for _ in range(count)}
            # Names of headers have no case.
            return {key.lower(): value for key, value in entries.items()} if location == "headers" else entries
        if kind == "string":
            if shape.enum:
                return self.chance.choice(shape.enum)
            if location in ("header", "headers"):
                return self.chance.choice(HEADER_TEXTS)
            return self.chance.choice(TEXTS)
        if kind == "boolean":
            return self.chance.random() < 0.5
        if kind == "integer":
            return self.chance.choice([0, 1, -1, 2**31 - 1, -(2**31), self.chance.randint(0, 1000)])
        if kind == "long":
            return self.chance.choice([0, -1, 2**53, -(2**53), self.chance.randint(0, 10**12)])
        if kind in ("float", "double"):
            return self.chance.choice([0.0, 0.5, -1.25, 1024.0, 1e10])
        if kind == "timestamp":
            return datetime.datetime.fromtimestamp(self.chance.randint(0, 2**31), datetime.timezone.utc)
        if kind == "blob":
            return bytes(self.chance.randrange(256) for _ in range(self.chance.randint(1, 20)))
        raise AssertionError(f"{shape.name} is {kind}")

    def key(self, shape):
        return self.chance.choice(shape.enum) if shape.enum else self.chance.choice(["k", "Key-2", "x"])

    def structure(self, shape, depth):
        made = {}
        if shape.is_tagged_union:
            leaves = [pair for pair in shape.members.items() if pair[1].type_name not in ("structure", "list", "map")]
            pairs = list(shape.members.items()) if depth < DEPTH_MAX or not leaves else leaves
            name, member = self.chance.choice(pairs)
            return {name: self.value(member, depth + 1, name)}
        for name, member in shape.members.items():
            wanted = name in shape.required_members or self.chance.random() < (0.7 if depth < 2 else 0.4)
            is_leaf = member.type_name not in ("structure", "list", "map")
            if not wanted or (depth >= DEPTH_MAX and not is_leaf):
                continue
            if getattr(member, "is_eventstream", False) or member.serialization.get("eventstream"):
                continue
            made[name] = self.value(member, depth + 1, name)
        return made


def is_empty(value):
    """Nothing that a form could tell: lists would lose such elements."""
    if isinstance(value, dict):
        return all(map(is_empty, value.values()))
    if isinstance(value, list):
        return all(map(is_empty, value))
    return value in ("", b"")


def plain(value):
    """As awsJson writes it."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    return value


def difference(one, other, path=""):
    """Where two values differ, or `None`. Empty structures and collections are as absent: not every protocol tells them."""
    if is_empty(one) or one is None:
        one = None
    if is_empty(other) or other is None:
        other = None
    if isinstance(one, dict) and isinstance(other, dict):
        found = (difference(one.get(key), other.get(key), f"{path}.{key}") for key in sorted(set(one) | set(other)))
        return next((text for text in found if text), None)
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return f"{path}: {len(one)} elements, {len(other)}"
        found = (difference(a, b, f"{path}[{n}]") for n, (a, b) in enumerate(zip(one, other)))
        return next((text for text in found if text), None)
    if isinstance(one, (int, float)) and isinstance(other, (int, float)) and not isinstance(one, bool):
        is_same = abs(one - other) <= 1e-6 * max(1.0, abs(one))
    else:
        is_same = one == other
    return None if is_same else f"{path}: {one!r}, {other!r}"


def in_order(value):
    """With the entries of maps sorted, as ours are: a form numbers them."""
    if isinstance(value, dict):
        return {key: in_order(value[key]) for key in sorted(value)}
    return [in_order(inner) for inner in value] if isinstance(value, list) else value


def same_text(one, other):
    """Numbers may be written in more than one way: 1e10, 10000000000.0."""
    try:
        return one == other or float(one) == float(other)
    except ValueError:
        return False


class Protocols(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.judge = Judge()
        cls.addClassCleanup(cls.judge.close)
        cls.services = cls.judge.ask(ask="operations")
        cls.loader = botocore.loaders.Loader()
        print(f"\nLONGSHORE_JUDGE_SEED={SEED}", file=sys.stderr)

    def model(self, service, protocol):
        # As published: botocore's loader adds what it needs for its own old users.
        version = self.loader.determine_latest_version(service, "service-2")
        raw = self.loader.load_data(f"{service}/{version}/service-2")
        if protocol.startswith("json"):
            raw["metadata"]["jsonVersion"] = protocol.removeprefix("json-")
        return botocore.model.ServiceModel(raw, service)

    def each(self):
        for service, facts in self.services.items():
            for protocol in facts["protocols"]:
                model = self.model(service, protocol)
                for operation in facts["operations"]:
                    found = model.operation_model(operation)
                    # Streams of events have a test of their own.
                    if not found.has_event_stream_output:
                        yield service, protocol, found

    def test_what_botocore_sends_is_read(self):
        count = 0
        for service, protocol, operation in self.each():
            family = "json" if protocol.startswith("json") else protocol
            serializer = botocore.serialize.create_serializer(family, include_validation=False)
            drawing = Drawing(random.Random(f"{SEED} {service} {protocol} {operation.name} in"))
            for _ in range(DRAWS):
                shape = operation.input_shape
                parameters = drawing.structure(shape, 0) if shape is not None else {}
                with self.subTest(service=service, protocol=protocol, operation=operation.name):
                    request = serializer.serialize_to_request(parameters, operation)
                    answer = self.judge.ask(**self.question(service, protocol, operation, request))
                    found = difference(plain(parameters), answer.get("input"))
                    self.assertIsNone(found, f"sent, and read\nanswer {str(answer)[:300]}\nas {str(request)[:3000]}")
                    count += 1
        print(f"{count} requests of botocore were read as they were meant", file=sys.stderr)

    def test_our_client_writes_what_botocore_writes(self):
        count = 0
        for service, protocol, operation in self.each():
            if protocol not in SPOKEN:
                continue
            family = "json" if protocol.startswith("json") else protocol
            serializer = botocore.serialize.create_serializer(family, include_validation=False)
            drawing = Drawing(random.Random(f"{SEED} {service} {protocol} {operation.name} ours"))
            for _ in range(DRAWS):
                shape = operation.input_shape
                parameters = in_order(drawing.structure(shape, 0)) if shape is not None else {}
                with self.subTest(service=service, protocol=protocol, operation=operation.name):
                    request = serializer.serialize_to_request(parameters, operation)
                    theirs = self.question(service, protocol, operation, request)
                    ours = self.judge.ask(
                        ask="write",
                        service=service,
                        operation=operation.name,
                        protocol=protocol,
                        input=plain(parameters),
                    )
                    self.assertNotIn("refused", ours)
                    self.assertEqual(ours["method"], request["method"])
                    self.assertEqual((ours["path"], ours["query"]), (theirs["path"], theirs["query"]))
                    self.same_headers(ours["headers"], theirs["headers"], shape)
                    self.same_body(protocol, base64.b64decode(ours["body"]), base64.b64decode(theirs["body"]))
                    count += 1
        print(f"{count} requests of our client are those of botocore", file=sys.stderr)

    def same_headers(self, ours, theirs, shape):
        theirs = {name.lower(): value for name, value in theirs.items()}
        if shape is None:
            # Without an input botocore may send no body. Ours then has no members.
            theirs.setdefault("content-type", ours["content-type"])
        self.assertEqual(ours, theirs)

    def same_body(self, protocol, ours, theirs):
        if protocol.startswith("json"):
            self.assertIsNone(difference(json.loads(ours), json.loads(theirs)), (ours, theirs))
        elif protocol == "smithy-rpc-v2-cbor":
            read = botocore.parsers.create_parser(protocol).parse_data_item
            ours, theirs = (read(io.BufferedReader(io.BytesIO(body or b"\xa0"))) for body in (ours, theirs))
            self.assertIsNone(difference(plain(ours), plain(theirs)), (ours, theirs))
        else:
            ours, theirs = (urllib.parse.parse_qsl(body.decode(), keep_blank_values=True) for body in (ours, theirs))
            self.assertEqual(sorted(name for name, _ in ours), sorted(name for name, _ in theirs))
            theirs = dict(theirs)
            wrong = [(name, value, theirs[name]) for name, value in ours if not same_text(value, theirs[name])]
            self.assertEqual(wrong, [])

    def question(self, service, protocol, operation, request):
        path, _, query = request["url_path"].partition("?")
        pairs = []
        for name, value in (request.get("query_string") or {}).items() if isinstance(request.get("query_string"), dict) else []:
            for one in value if isinstance(value, (list, tuple)) else [value]:
                pairs.append((name, one))
        more = urllib.parse.urlencode(pairs, quote_via=urllib.parse.quote)
        body = request["body"]
        if isinstance(body, dict):
            body = urllib.parse.urlencode(body).encode()
        elif isinstance(body, str):
            body = body.encode()
        elif hasattr(body, "read"):
            body = body.read()
        return {
            "ask": "read",
            "service": service,
            "operation": operation.name,
            "protocol": protocol,
            "path": path,
            "query": "&".join(part for part in (query, more) if part),
            "headers": {name: str(value) for name, value in request["headers"].items()},
            "body": base64.b64encode(body or b"").decode(),
        }

    def test_what_is_written_botocore_reads(self):
        count = 0
        for service, protocol, operation in self.each():
            family = "json" if protocol.startswith("json") else protocol
            parser = botocore.parsers.create_parser(family)
            drawing = Drawing(random.Random(f"{SEED} {service} {protocol} {operation.name} out"))
            for _ in range(DRAWS):
                shape = operation.output_shape
                output = drawing.structure(shape, 0) if shape is not None else {}
                if any(member.serialization.get("streaming") for member in (shape.members.values() if shape else [])):
                    continue
                # A status that is a member decides about success.
                for name, member in shape.members.items() if shape else []:
                    if member.serialization.get("location") == "statusCode" and name in output:
                        output[name] = 206
                with self.subTest(service=service, protocol=protocol, operation=operation.name):
                    reply = self.judge.ask(
                        ask="answer",
                        service=service,
                        operation=operation.name,
                        protocol=protocol,
                        output=plain(output),
                    )
                    self.assertIn("body", reply, plain(output))
                    response = {
                        "body": base64.b64decode(reply["body"]),
                        "headers": botocore.awsrequest.HeadersDict(reply["headers"]),
                        "status_code": reply["status"],
                        "context": {"operation_name": operation.name},
                    }
                    parsed = parser.parse(response, shape)
                    if operation.name == "GetBucketLocation" and service == "s3":
                        # The text of the root itself, for which its clients have code of their own.
                        wire = types.SimpleNamespace(raw=response, content=response["body"])
                        botocore.handlers.parse_get_bucket_location(parsed, wire)
                    parsed.pop("ResponseMetadata", None)
                    found = difference(plain(output), plain(parsed))
                    self.assertIsNone(found, f"written, and read from {str(response)[:3000]}")
                    if protocol in SPOKEN:
                        heard = self.hear(service, protocol, operation, reply)
                        found = difference(plain(parsed), heard.get("output"))
                        self.assertIsNone(found, f"read by botocore, and by us: {heard} from {str(response)[:3000]}")
                    count += 1
        print(f"{count} answers were read by botocore as they were meant", file=sys.stderr)

    def hear(self, service, protocol, operation, reply):
        return self.judge.ask(ask="hear", service=service, operation=operation.name, protocol=protocol, **reply)

    def test_our_client_reads_errors_as_botocore_does(self):
        count = 0
        for service, protocol, operation in self.each():
            family = "json" if protocol.startswith("json") else protocol
            parser = botocore.parsers.create_parser(family)
            message = random.Random(f"{SEED} {service} {operation.name} error").choice(TEXTS)
            with self.subTest(service=service, protocol=protocol, operation=operation.name):
                reply = self.judge.ask(
                    ask="refuse", service=service, operation=operation.name, protocol=protocol, message=message
                )
                if protocol == "rest-json":
                    # The edge of the server adds it.
                    reply["headers"]["x-amzn-errortype"] = "ValidationException"
                response = {
                    "body": base64.b64decode(reply["body"]),
                    "headers": botocore.awsrequest.HeadersDict(reply["headers"]),
                    "status_code": reply["status"],
                    "context": {"operation_name": operation.name},
                }
                error = parser.parse(response, operation.output_shape)["Error"]
                heard = self.hear(service, protocol, operation, reply)
                self.assertEqual(heard, {"code": error["Code"], "message": error["Message"]})
                self.assertEqual(heard["message"], message)
                count += 1
        print(f"{count} errors were read by our client as by botocore", file=sys.stderr)


class Raw:
    """A body that comes in pieces, cut anywhere."""

    def __init__(self, body, chance):
        self.body, self.chance = body, chance

    def stream(self):
        while self.body:
            length = self.chance.randint(1, 50)
            yield self.body[:length]
            self.body = self.body[length:]

    def close(self):
        pass


class Streams(unittest.TestCase):
    """StartLiveTail of CloudWatch Logs: frames as botocore reads them, checksums included."""

    @classmethod
    def setUpClass(cls):
        cls.judge = Judge()
        cls.addClassCleanup(cls.judge.close)
        raw = botocore.loaders.Loader().load_data("logs/2014-03-28/service-2")
        cls.model = botocore.model.ServiceModel(raw, "logs").operation_model("StartLiveTail")

    def parsed(self, events, chance, spoil=lambda body: body):
        reply = self.judge.ask(ask="events", protocol="json-1.1", events=plain(events))
        self.assertEqual(reply["headers"]["content-type"], "application/vnd.amazon.eventstream")
        response = {
            "body": Raw(spoil(base64.b64decode(reply["body"])), chance),
            "headers": botocore.awsrequest.HeadersDict(reply["headers"]),
            "status_code": reply["status"],
            "context": {"operation_name": "StartLiveTail"},
        }
        output = botocore.parsers.create_parser("json").parse(response, self.model.output_shape)
        return output["responseStream"]

    def test_events_are_read(self):
        stream = self.model.output_shape.members["responseStream"]
        for seed in range(20):
            chance = random.Random(f"{SEED} events {seed}")
            drawing = Drawing(chance)
            drawn = []
            for _ in range(chance.randint(1, 6)):
                name = chance.choice(["sessionStart", "sessionUpdate"])
                drawn.append([name, drawing.structure(stream.members[name], 0)])
            read = [[name, event] for found in self.parsed(drawn, chance) for name, event in found.items()]
            self.assertEqual([name for name, _ in read], [name for name, _ in drawn])
            for (_, sent), (_, found) in zip(drawn, read):
                self.assertIsNone(difference(plain(sent), plain(found)), f"{sent}, {found}")

    def test_an_exception_ends_the_stream(self):
        events = [["sessionStart", {"requestId": "r"}], ["SessionTimeoutException", {"message": "three hours"}]]
        stream = iter(self.parsed(events, random.Random(1)))
        self.assertEqual(next(stream), {"sessionStart": {"requestId": "r"}})
        with self.assertRaises(botocore.exceptions.EventStreamError) as caught:
            next(stream)
        self.assertEqual(caught.exception.response["Error"], {"Code": "SessionTimeoutException", "Message": "three hours"})

    def test_a_changed_byte_is_noticed(self):
        def spoil(body):
            at = body.index(b"requestId")
            return body[:at] + b"R" + body[at + 1 :]

        with self.assertRaises(botocore.eventstream.ChecksumMismatch):
            list(self.parsed([["sessionStart", {"requestId": "r"}]], random.Random(1), spoil))


class Bodies(unittest.TestCase):
    """What botocore's S3 client sends as a body, over HTTP (a hash) and TLS (chunks with a trailer), signed by it."""

    SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

    @classmethod
    def setUpClass(cls):
        cls.judge = Judge()
        cls.addClassCleanup(cls.judge.close)

    def sent(self, scheme, config=None, **parameters):
        """The request of a PutObject, as it goes to the socket."""
        session = botocore.session.Session()
        session.set_credentials("AKIDEXAMPLE", self.SECRET)
        settings = {"s3": {"addressing_style": "path"}, "signature_version": "s3v4", **(config or {})}
        client = session.create_client(
            "s3", "eu-west-1", endpoint_url=f"{scheme}://localhost:8722", config=botocore.config.Config(**settings)
        )
        seen = []

        def instead(request, **_):
            seen.append(request)
            return botocore.awsrequest.AWSResponse(request.url, 200, {}, Raw(b"", random.Random()))

        client.meta.events.register("before-send.s3", instead)
        client.put_object(Bucket="bucket", Key="a b/ü+%.txt", **parameters)
        return seen[0]

    def question(self, request, body, cut):
        url = urllib.parse.urlsplit(request.url)
        text = lambda value: value.decode() if isinstance(value, bytes) else str(value)
        headers = {name: text(value) for name, value in request.headers.items()}
        headers.setdefault("Host", url.netloc)
        return {
            "ask": "body",
            "method": request.method,
            "path": url.path,
            "query": url.query,
            "headers": headers,
            "body": base64.b64encode(body).decode(),
            "secret": self.SECRET,
            "cut": cut,
        }

    def test_what_the_s3_client_signs_is_verified(self):
        chance = random.Random(f"{SEED} bodies")
        count = 0
        forms = set()
        for scheme in ["http", "https"]:
            for algorithm in [None, "CRC32", "SHA1", "SHA256"]:
                for length in [0, 5, 100_000]:
                    payload = chance.randbytes(length)
                    chosen = {"ChecksumAlgorithm": algorithm} if algorithm else {}
                    request = self.sent(scheme, Body=payload, **chosen)
                    wire = request.body if isinstance(request.body, (bytes, bytearray)) else request.body.read()
                    with self.subTest(scheme=scheme, algorithm=algorithm, length=length):
                        question = self.question(request, bytes(wire), chance.randint(1, 5000))
                        answer = self.judge.ask(**question)
                        self.assertEqual(answer.get("body"), base64.b64encode(payload).decode(), answer)
                        stated = request.headers["x-amz-content-sha256"]
                        stated = stated.decode() if isinstance(stated, bytes) else stated
                        forms.add(stated if stated.startswith("STREAMING") else "hash or none")
                        is_trailer = stated.endswith("TRAILER")
                        self.assertEqual(len(answer["trailers"]), int(is_trailer))
                        # One byte of the payload is changed on the way.
                        if length:
                            at = bytes(wire).index(payload[:100])
                            spoilt = bytearray(wire)
                            spoilt[at] ^= 1
                            refused = self.judge.ask(**self.question(request, bytes(spoilt), 1000))
                            self.assertIn("refused", refused)
                        # As is the key.
                        refused = self.judge.ask(**(question | {"secret": "another"}))
                        self.assertIn("does not match", refused["refused"])
                        count += 1
        self.assertEqual(forms, {"hash or none", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"})
        print(f"{count} bodies of botocore's S3 client were verified", file=sys.stderr)


if __name__ == "__main__":
    unittest.main()
