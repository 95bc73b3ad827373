"""A client of a waiting room that knows of it what its front ends and the scripts of its operators know, and nothing else."""

import http.client
import json
import os
import select
import threading
import time
import urllib.parse

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

PATIENCE = 30
EVENT = "Sample"
NOBODY = "0f0e0d0c-0b0a-4908-8706-050403020100"
JSON = {"Content-Type": "application/json"}


class Answer:
    """What came back."""

    def __init__(self, asked, response):
        self.asked, self.status, self.headers, self.body = asked, response.status, response.headers, response.read()

    def __repr__(self):
        return f"{self.asked} -> {self.status} {self.body[:300]!r} {dict(self.headers)}"

    def json(self):
        return json.loads(self.body)

    def is_(self, status, body):
        """A status and exactly these members."""
        assert (self.status, self.json()) == (status, body), f"expected {status} {body}: {self}"
        return self

    def says(self, status, error):
        """What a function says."""
        return self.is_(status, {"error": error})

    def refuses(self, status, message):
        """What stands before functions says."""
        return self.is_(status, {"message": message})

    def has(self, status):
        assert self.status == status, f"expected {status}: {self}"
        return self


class Clock:
    """The time that the gateway goes by, and this program with it: it stands still until it is moved."""

    def __init__(self, file):
        self.file = file
        assert time.time() < 2524608000 and time.time() == time.time() and self.is_ours(), (
            "the clock cannot be set: install `faketime`, as `cargo xtask test` does"
        )

    def is_ours(self):
        with open(self.file) as file:
            return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()) == file.read().strip()

    def now(self):
        return int(time.time())

    def set(self, moment):
        new = self.file + ".new"
        with open(new, "w") as file:
            file.write(time.strftime("%Y-%m-%d %H:%M:%S\n", time.gmtime(moment)))
        os.replace(new, self.file)
        assert self.now() == moment, "the clock does not move"


def until(what, is_so):
    """Waits for a state, with a limit."""
    end = time.monotonic() + PATIENCE
    while not (told := is_so()):
        assert time.monotonic() < end, f"it never came true that {what}"
        # What sleeps goes by the clock that stands still.
        select.select([], [], [], 0.01)
    return told


def at_once(number, task):
    """Has something be done by so many at the same time; what each got."""
    got, begin = [None] * number, threading.Barrier(number)

    def work(index):
        begin.wait()
        got[index] = task(index)

    threads = [threading.Thread(target=work, args=[index]) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return got


class Room:
    """A room by its two APIs, at a gateway whose clock is at hand."""

    def __init__(self, facts, event=EVENT, public="/wait", private="/operate"):
        self.facts, self.event, self.public, self.private = facts, event, public, private
        self.address, self.key = facts["address"], Credentials(*facts["key"])
        self.tells, self.looks = facts["events"] is not None, facts.get("looks", True)
        self.strict, self.expiry, self.passes_on = facts["strict"], facts["expiry"], facts["passes_on"]
        self.clock = Clock(facts["clock"])

    def ask(self, method, target, body=None, headers=None):
        """Sends a request as it is."""
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        connection.request(method, target, body, headers or {})
        answer = Answer(f"{method} {target} {str(body)[:200]}", connection.getresponse())
        connection.close()
        if target.startswith((self.public + "/", self.private + "/")) and not (answer.status == 404 and not self.strict):
            assert answer.headers["Access-Control-Allow-Origin"] == "*", f"any site may read it: {answer}"
        return answer

    # What visitors ask.

    def get(self, path, **query):
        query = urllib.parse.urlencode({"event_id": self.event} | query)
        return self.ask("GET", f"{self.public}/{path}?{query}")

    def post(self, path, **members):
        return self.ask("POST", f"{self.public}/{path}", json.dumps({"event_id": self.event} | members), JSON)

    def join(self):
        return self.post("assign_queue_num").has(200).json()["api_request_id"]

    def joins(self, number):
        return [self.join() for _ in range(number)]

    def queue_num(self, visitor):
        return self.get("queue_num", request_id=visitor)

    def position(self, visitor):
        return self.queue_num(visitor).has(200).json()["queue_number"]

    def token(self, visitor, **members):
        return self.post("generate_token", request_id=visitor, **members)

    def left(self, visitor):
        return self.get("queue_pos_expiry", request_id=visitor)

    def serving(self):
        return int(self.get("serving_num").has(200).json()["serving_counter"])

    def waiting(self):
        return self.get("waiting_num").has(200).json()["waiting_num"]

    # What operators ask, who sign.

    def signed(self, method, path, query=None, body=None):
        target = f"{self.private}/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
        headers = JSON if body else {}
        request = AWSRequest(method=method, url=f"http://{self.address}{target}", data=body, headers=headers)
        SigV4Auth(self.key, "execute-api", "eu-central-1").add_auth(request)
        return self.ask(method, target, body, dict(request.headers.items()))

    def look(self, path):
        return self.signed("GET", path, query={"event_id": self.event})

    def operate(self, path, **members):
        return self.signed("POST", path, body=json.dumps({"event_id": self.event} | members))

    def increment(self, by):
        return self.operate("increment_serving_counter", increment_by=by)

    def end(self, visitor, status):
        return self.operate("update_session", request_id=visitor, status=status)

    def active(self):
        return self.look("num_active_tokens").has(200).json()["active_tokens"]

    def expired(self):
        return self.look("expired_tokens").has(200).json()

    def reset(self):
        return self.operate("reset_initial_state").has(200)

    def shown(self, name):
        """The room as the Admin API shows it."""
        connection = http.client.HTTPConnection(self.facts["admin_address"], timeout=PATIENCE)
        connection.request("GET", f"/rooms/{name}", headers={"Authorization": f"Bearer {self.facts['admin']}"})
        answer = Answer(f"/rooms/{name}", connection.getresponse())
        connection.close()
        return answer.has(200).json()

    # What the time does.

    def later(self, seconds):
        """Moves the clock. What is due by then may be done by now, or not yet."""
        self.clock.set(self.clock.now() + seconds)

    def wait(self, seconds):
        """Moves the clock, and waits until the gateway has done what is due by then in all rooms."""
        self.wait_until(self.clock.now() + seconds)

    def wait_until(self, moment):
        # Its serving number rises each second, and it is the last room that is looked after.
        ticking = Room.__new__(Room)
        ticking.__dict__ = self.__dict__ | {"event": "zz-ticking", "public": "/ticking"}
        before = ticking.serving()
        self.clock.set(moment)
        until("rooms are looked after", lambda: ticking.serving() > before)

    def events(self, kind, **details):
        """What others were told of this room, by its type and some of its details."""
        if not self.tells or not os.path.exists(self.facts["events"]):
            return []
        with open(self.facts["events"]) as file:
            events = [json.loads(line) for line in file if line.endswith("\n")]
        of_kind = [event for event in events if event["type"] == kind]
        return [event for event in of_kind if details.items() <= event["data"].items()]

    def told(self, kind, **details):
        """The same, once there is any, where others are told at all."""
        return not self.tells or until(f"{kind} is told of {details}", lambda: self.events(kind, **details))


class Rows:
    """The rows of the contract, each with what shows that it holds."""

    def __init__(self):
        self.rows = []

    def __call__(self, name, when=lambda room: True):
        def note(test):
            self.rows.append((name, when, test))
            return test

        return note


row = Rows()
