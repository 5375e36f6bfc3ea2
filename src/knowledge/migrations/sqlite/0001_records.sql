-- All collections share one table: what a record means is said by the program, which also holds each to its bound.
CREATE TABLE records (
    -- AUTOINCREMENT: a sequence is a cursor in people's hands and is never given out twice.
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    collection TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    tag        TEXT    NOT NULL,
    -- Microseconds since 1970, UTC.
    at         INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    body       TEXT    NOT NULL,
    UNIQUE (collection, key)
);

-- Lists walk these by sequence; `at` is there so that pruning by age reads no bodies.
CREATE INDEX records_in_order ON records (collection, sequence, at);
CREATE INDEX records_by_tag ON records (collection, tag, sequence, at);

-- One row that is written to prove that the store can be written.
CREATE TABLE write_check (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    checks INTEGER NOT NULL
);
