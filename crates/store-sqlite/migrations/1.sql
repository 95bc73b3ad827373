-- The latest revision; every change of an entity takes the next one.
CREATE TABLE revision (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    latest   INTEGER NOT NULL
) STRICT;
INSERT INTO revision VALUES (1, 0);

-- `path` and `parent_path` are names joined by slashes, which no name has.
CREATE TABLE entities (
    kind        TEXT NOT NULL,
    path        TEXT NOT NULL,
    parent_kind TEXT,
    parent_path TEXT,
    label       TEXT,
    refers_to   TEXT, -- a line for each: kind and path
    body        TEXT NOT NULL, -- JSON
    revision    INTEGER NOT NULL UNIQUE,
    used        INTEGER,
    PRIMARY KEY (kind, path),
    FOREIGN KEY (parent_kind, parent_path) REFERENCES entities
) STRICT, WITHOUT ROWID;
CREATE INDEX entities_by_parent ON entities (parent_kind, parent_path);
CREATE INDEX entities_by_label ON entities (kind, label, path);

-- `refers_to` the other way round. What is referred to need not be there: the configuration file may have it.
CREATE TABLE entity_references (
    kind    TEXT NOT NULL,
    path    TEXT NOT NULL,
    to_kind TEXT NOT NULL,
    to_path TEXT NOT NULL,
    PRIMARY KEY (kind, path, to_kind, to_path),
    FOREIGN KEY (kind, path) REFERENCES entities ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX entity_references_to ON entity_references (to_kind, to_path);

-- What was deleted, so that followers learn of it.
CREATE TABLE gone (
    kind     TEXT NOT NULL,
    path     TEXT NOT NULL,
    revision INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (kind, path)
) STRICT, WITHOUT ROWID;

-- Append-only; each hash holds the one before.
CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    body   TEXT NOT NULL, -- JSON
    hash   BLOB NOT NULL
) STRICT;

CREATE TABLE usage (
    hour           INTEGER NOT NULL,
    company        TEXT NOT NULL,
    app            TEXT NOT NULL,
    product        TEXT NOT NULL,
    api            TEXT NOT NULL,
    operation      TEXT NOT NULL,
    status_class   INTEGER NOT NULL,
    requests       INTEGER NOT NULL,
    cost           INTEGER NOT NULL,
    bytes_in       INTEGER NOT NULL,
    bytes_out      INTEGER NOT NULL,
    latency_micros INTEGER NOT NULL,
    PRIMARY KEY (hour, company, app, product, api, operation, status_class)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_by_company ON usage (company, hour);

-- How far each journal segment is in the sums of `usage`.
CREATE TABLE usage_sources (
    segment TEXT PRIMARY KEY,
    counted INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
