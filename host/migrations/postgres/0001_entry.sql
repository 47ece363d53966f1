CREATE TABLE entry (
    key        text   COLLATE "C" NOT NULL PRIMARY KEY,
    version    bigint NOT NULL,
    expires_at bigint,
    value      bytea  NOT NULL
);

-- Ciphertext does not compress.
ALTER TABLE entry ALTER COLUMN value SET STORAGE EXTERNAL;

CREATE INDEX entry_expires_at ON entry (expires_at) WHERE expires_at IS NOT NULL;

-- A batch, in one statement: all of it or nothing. Answers false if something that it expects is
-- not so; a version of null expects that there is nothing at the key.
CREATE FUNCTION entry_apply (
    expect_keys text[], expect_versions bigint[],
    put_keys text[], put_versions bigint[], put_ends bigint[], put_values bytea[],
    delete_keys text[], at bigint
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    wanted bigint;
    changed bigint;
BEGIN
    -- Under anything less, two batches that each rest on what the other changes could both win.
    IF current_setting('transaction_isolation') <> 'serializable' OR current_setting('synchronous_commit') = 'off' THEN
        RAISE EXCEPTION 'not safe in this session' USING ERRCODE = 'CF002';
    END IF;

    SELECT count(*) INTO changed
    FROM unnest(expect_keys, expect_versions) AS expected (key, version)
    LEFT JOIN entry ON entry.key = expected.key AND (entry.expires_at IS NULL OR entry.expires_at > at)
    WHERE entry.version IS NOT DISTINCT FROM expected.version;
    IF changed <> cardinality(expect_keys) THEN
        RETURN false;
    END IF;

    IF cardinality(put_keys) > 0 THEN
        INSERT INTO entry (key, version, expires_at, value)
        SELECT * FROM unnest(put_keys, put_versions, put_ends, put_values)
        ON CONFLICT (key) DO UPDATE
        SET version = excluded.version, expires_at = excluded.expires_at, value = excluded.value;
        GET DIAGNOSTICS changed = ROW_COUNT;
        IF changed <> cardinality(put_keys) THEN
            RAISE EXCEPTION 'conflict' USING ERRCODE = 'CF001';
        END IF;
    END IF;

    IF cardinality(delete_keys) > 0 THEN
        SELECT count(*) INTO wanted FROM entry WHERE key = ANY (delete_keys);
        DELETE FROM entry WHERE key = ANY (delete_keys);
        GET DIAGNOSTICS changed = ROW_COUNT;
        IF changed <> wanted THEN
            RAISE EXCEPTION 'conflict' USING ERRCODE = 'CF001';
        END IF;
    END IF;

    RETURN true;
END
$$;
