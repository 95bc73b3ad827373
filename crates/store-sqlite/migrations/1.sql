-- The latest revision; every change of an entity takes the next one.
CREATE TABLE revision (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    latest   INTEGER NOT NULL
) STRICT;
INSERT INTO revision VALUES (1, 0);

CREATE TABLE companies (
    name     TEXT PRIMARY KEY,
    title    TEXT NOT NULL,
    created  INTEGER NOT NULL,
    revision INTEGER NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;

CREATE TABLE apps (
    company  TEXT NOT NULL REFERENCES companies,
    name     TEXT NOT NULL,
    title    TEXT NOT NULL,
    created  INTEGER NOT NULL,
    revision INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (company, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE products (
    name           TEXT PRIMARY KEY,
    operations     TEXT NOT NULL, -- a JSON array
    quota_requests INTEGER,
    quota_per      TEXT, -- JSON
    managed_by     TEXT NOT NULL,
    created        INTEGER NOT NULL,
    revision       INTEGER NOT NULL UNIQUE
) STRICT, WITHOUT ROWID;

-- `product` refers to no table: the configuration file may have it.
CREATE TABLE subscriptions (
    company  TEXT NOT NULL,
    app      TEXT NOT NULL,
    product  TEXT NOT NULL,
    state    TEXT NOT NULL,
    created  INTEGER NOT NULL,
    changed  INTEGER NOT NULL,
    revision INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (company, app, product),
    FOREIGN KEY (company, app) REFERENCES apps
) STRICT, WITHOUT ROWID;
CREATE INDEX subscriptions_by_product ON subscriptions (product);
CREATE INDEX subscriptions_by_state ON subscriptions (state);

CREATE TABLE keys (
    id          TEXT PRIMARY KEY,
    company     TEXT NOT NULL,
    app         TEXT NOT NULL,
    environment TEXT NOT NULL,
    algorithm   TEXT NOT NULL,
    digest      BLOB NOT NULL,
    scopes      TEXT NOT NULL, -- a JSON array
    prefix      TEXT NOT NULL,
    last_four   TEXT NOT NULL,
    created     INTEGER NOT NULL,
    expires     INTEGER,
    revoked     INTEGER,
    last_used   INTEGER,
    revision    INTEGER NOT NULL UNIQUE,
    FOREIGN KEY (company, app) REFERENCES apps
) STRICT, WITHOUT ROWID;
CREATE INDEX keys_by_app ON keys (company, app);

-- What was deleted, so that followers learn of it. `id` is joined by slashes, which no name has.
CREATE TABLE gone (
    kind     TEXT NOT NULL,
    id       TEXT NOT NULL,
    revision INTEGER NOT NULL UNIQUE,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;

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
