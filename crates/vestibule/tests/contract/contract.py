"""Has every row of the contract be shown of a gateway that runs, or looks whether what was told once is told again."""

import json
import sys
import traceback

import front  # noqa: F401
import openid  # noqa: F401
import private  # noqa: F401
import public  # noqa: F401
import tokens
import turns  # noqa: F401
from room import Room, row, until

SECTION = "2 3 4 5 6 7 8 9 10 11 12".split()


def rows(room):
    """Shows each row in a room that begins anew; how many do not hold."""
    failed = 0
    for known in [room, room.facts["small"], Room(room.facts, "There", "/there", "/there-operate")]:
        # It is made when it is needed first, which takes long on a machine that is busy.
        until("there is a key", lambda: known.get("public_key").status == 200)
    of_section = {section: [] for section in SECTION}
    for name, when, test in row.rows:
        of_section[name.split(" ")[0].split(".")[0].strip(",")].append((name, when, test))
    # What moves the clock to a fixed day comes last.
    ordered = sorted((entry for entries in of_section.values() for entry in entries), key=lambda entry: "inlet of the clock" in entry[0])
    for name, when, test in ordered:
        if not when(room):
            continue
        room.reset()
        try:
            test(room)
            print(f"holds: {name}")
        except Exception:
            failed += 1
            print(f"DOES NOT HOLD: {name}\n{traceback.format_exc()}")
    return failed


def told(room):
    """Everything that can be asked of those who are known."""
    with open(room.facts["known"]) as file:
        known = json.load(file)
    asked = [room.serving(), room.waiting(), room.active(), sorted(room.expired()), room.get("public_key").json()]
    for visitor in known:
        asked += [answer.body.decode() for answer in [room.queue_num(visitor), room.left(visitor)]]
    return asked


def remember(room):
    """Leaves a room in which visitors are in every state, and writes down what is told of it."""
    room.reset()
    visitors = room.joins(30)
    room.increment(12)
    for visitor in visitors[:8]:
        room.token(visitor).has(200)
    room.end(visitors[0], 1)
    room.end(visitors[1], -1)
    room.operate("generate_token", request_id=visitors[8], validity_period=1).has(200)
    room.wait((room.expiry or 10) + 1)
    room.increment(2)
    room.increment(-1)
    with open(room.facts["known"], "w") as file:
        json.dump(visitors, file)
    taken = [room.token(visitor).body.decode() for visitor in visitors[:9]]
    with open(room.facts["known"] + ".told", "w") as file:
        json.dump([told(room), taken], file)


def compare(room):
    """Whether all of that is told again."""
    with open(room.facts["known"] + ".told") as file:
        before, taken = json.load(file)
    assert told(room) == before, "what is told differs"
    with open(room.facts["known"]) as file:
        visitors = json.load(file)
    assert [room.token(visitor).body.decode() for visitor in visitors[:9]] == taken
    assert room.position(room.join()) == len(visitors) + 1


what, facts = sys.argv[1], json.loads(sys.argv[2])
facts["claims"] = tokens.claims
facts["small"] = Room(facts, "Small", "/small", "/small-operate")
room = Room(facts)
if what == "rows":
    failed = rows(room)
    print(f"{failed} do not hold")
    if not failed:
        remember(room)
    sys.exit(1 if failed else 0)
compare(room)
