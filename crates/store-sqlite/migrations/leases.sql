-- Places that are held for as long as somebody renews them. Times are microseconds since 1970.
CREATE TABLE leases (
    id          TEXT PRIMARY KEY,
    state       TEXT NOT NULL,
    ending      TEXT NOT NULL,
    opened      INTEGER NOT NULL,
    renewed     INTEGER NOT NULL,
    ends        INTEGER NOT NULL,
    latest      INTEGER NOT NULL,
    ttl         INTEGER NOT NULL,
    about       TEXT NOT NULL, -- JSON
    body        BLOB NOT NULL,
    ended       INTEGER,
    why         TEXT,
    attempts    INTEGER NOT NULL,
    due         INTEGER NOT NULL,
    note        TEXT NOT NULL,
    replaced_by TEXT -- who has its place
) STRICT;
CREATE INDEX leases_by_end ON leases (ends) WHERE state IN ('opening', 'open');
CREATE INDEX leases_by_due ON leases (state, due) WHERE state IN ('closing', 'closed');
CREATE INDEX leases_by_replacement ON leases (replaced_by) WHERE replaced_by IS NOT NULL;

CREATE TABLE lease_groups (
    name   TEXT NOT NULL,
    opened INTEGER NOT NULL,
    id     TEXT NOT NULL REFERENCES leases ON DELETE CASCADE ON UPDATE CASCADE,
    PRIMARY KEY (name, opened, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX lease_groups_of ON lease_groups (id);
