-- All collections share one table: what a record means is said by the program, which also holds each to its bound.
CREATE TABLE records (
    -- A cursor in people's hands, never given out twice. One writer at a time (see hold), so it rises as commits are seen.
    sequence   BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- "C": bytes. The order of a locale changes with the system's libraries and then damages an index.
    collection TEXT   COLLATE "C" NOT NULL,
    key        TEXT   COLLATE "C" NOT NULL,
    tag        TEXT   COLLATE "C" NOT NULL,
    -- Microseconds since 1970, UTC.
    at         BIGINT NOT NULL,
    version    BIGINT NOT NULL,
    body       TEXT   NOT NULL,
    UNIQUE (collection, key)
);

-- Lists walk these by sequence; `at` is there so that pruning by age reads no bodies.
CREATE INDEX records_in_order ON records (collection, sequence, at);
CREATE INDEX records_by_tag ON records (collection, tag, sequence, at);

-- Who leads. Every writer, leader or not, locks this row first and keeps it until its transaction ends.
CREATE TABLE lease (
    id      INTEGER     PRIMARY KEY CHECK (id = 1),
    -- One start of a process; empty: nobody.
    holder  TEXT        COLLATE "C" NOT NULL,
    epoch   BIGINT      NOT NULL,
    expires TIMESTAMPTZ NOT NULL,
    -- Cycles asked for by replicas that do not lead.
    wakes   BIGINT      NOT NULL
);
INSERT INTO lease VALUES (1, '', 0, '-infinity', 0);

-- One row that is written to prove that the store can be written.
CREATE TABLE write_check (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    checks BIGINT  NOT NULL
);
INSERT INTO write_check VALUES (1, 0);

-- Takes the lease if it is free or ours, for so many milliseconds from now, and says who has it.
CREATE FUNCTION lead(ours TEXT, ttl BIGINT)
RETURNS TABLE (is_ours BOOLEAN, epoch BIGINT, holder TEXT, expires_in BIGINT, wakes BIGINT, at BIGINT) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    l lease%ROWTYPE;
    t TIMESTAMPTZ;
BEGIN
    SELECT * INTO STRICT l FROM lease FOR UPDATE;
    -- After the wait for the row: now() is from before it.
    t := clock_timestamp();
    IF l.holder <> ours AND l.expires <= t THEN
        l.epoch := greatest(l.epoch + 1, floor(extract('epoch' FROM t))::BIGINT);
        l.holder := ours;
    END IF;
    IF l.holder = ours THEN
        l.expires := t + ttl * INTERVAL '1 millisecond';
        UPDATE lease SET holder = l.holder, epoch = l.epoch, expires = l.expires;
    END IF;
    RETURN QUERY SELECT l.holder = ours, l.epoch, l.holder,
        greatest(0, floor(extract('epoch' FROM l.expires - t) * 1000))::BIGINT, l.wakes,
        floor(extract('epoch' FROM t) * 1000000)::BIGINT;
END $$;

-- First in every write: keeps every other writer out until the end of the transaction, so that sequences rise as commits
-- are seen. With a fence it goes on only while that epoch leads.
CREATE FUNCTION hold(fence BIGINT) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    present BIGINT;
BEGIN
    SELECT epoch INTO STRICT present FROM lease FOR UPDATE;
    IF present <> fence THEN
        RAISE EXCEPTION 'epoch % leads, not %', present, fence USING ERRCODE = 'MK001';
    END IF;
END $$;

-- Applies writes in order, all or none; says of each whether its condition held. One statement, so one transaction that
-- no client can leave open, and one round trip however many writes.
CREATE FUNCTION write_batch(
    fence BIGINT, whats TEXT[], collections TEXT[], keys TEXT[], tags TEXT[], ats BIGINT[], bodies TEXT[],
    if_tags TEXT[], if_versions BIGINT[]
) RETURNS BOOLEAN[] LANGUAGE plpgsql AS $$
DECLARE
    w    RECORD;
    old  RECORD;
    done BOOLEAN[] := '{}';
    hit  BOOLEAN;
BEGIN
    PERFORM hold(fence);
    FOR w IN
        SELECT * FROM unnest(whats, collections, keys, tags, ats, bodies, if_tags, if_versions)
            WITH ORDINALITY AS given (what, collection, key, tag, at, body, if_tag, if_version, place)
        ORDER BY place
    LOOP
        -- By the key alone, then by the sequence: with more conditions a planner without statistics takes a wrong index.
        SELECT sequence, tag, version INTO old FROM records WHERE collection = w.collection AND key = w.key;
        hit := CASE w.what
            WHEN 'insert' THEN NOT FOUND
            WHEN 'put' THEN (w.if_tag IS NULL OR (FOUND AND old.tag = w.if_tag))
                        AND (w.if_version IS NULL OR (FOUND AND old.version = w.if_version))
            WHEN 'touch' THEN FOUND AND old.tag = w.tag
            -- Deleting what is not there is done.
            WHEN 'delete' THEN TRUE
        END;
        done := done || hit;
        CONTINUE WHEN NOT hit;
        IF w.what = 'delete' THEN
            DELETE FROM records WHERE sequence = old.sequence;
        ELSIF w.what = 'touch' THEN
            UPDATE records SET at = w.at WHERE sequence = old.sequence AND at <> w.at;
        ELSIF old.sequence IS NULL THEN
            INSERT INTO records (collection, key, tag, at, body, version)
                VALUES (w.collection, w.key, w.tag, w.at, w.body, 1);
        ELSE
            UPDATE records SET tag = w.tag, at = w.at, body = w.body, version = version + 1
                WHERE sequence = old.sequence;
        END IF;
    END LOOP;
    RETURN done;
END $$;

-- Deletes at most so many of what a bound leaves out; the tag of each.
CREATE FUNCTION prune_records(
    fence BIGINT, of_collection TEXT, of_tag TEXT, newest BIGINT, not_before BIGINT, at_most BIGINT
) RETURNS SETOF TEXT LANGUAGE plpgsql AS $$
BEGIN
    PERFORM hold(fence);
    -- Two statements, each with the index that serves it.
    IF of_tag IS NULL THEN
        RETURN QUERY DELETE FROM records WHERE sequence IN (
            SELECT sequence FROM records WHERE collection = of_collection AND at < not_before
            UNION ALL
            SELECT sequence FROM (SELECT sequence FROM records WHERE collection = of_collection
                                  ORDER BY sequence DESC OFFSET newest) AS older
            LIMIT at_most)
        RETURNING tag;
    ELSE
        RETURN QUERY DELETE FROM records WHERE sequence IN (
            SELECT sequence FROM records WHERE collection = of_collection AND tag = of_tag AND at < not_before
            UNION ALL
            SELECT sequence FROM (SELECT sequence FROM records WHERE collection = of_collection AND tag = of_tag
                                  ORDER BY sequence DESC OFFSET newest) AS older
            LIMIT at_most)
        RETURNING tag;
    END IF;
END $$;
