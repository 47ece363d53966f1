-- The value stands last: whoever reads only the other columns never follows its overflow pages.
CREATE TABLE entry (
    key        TEXT    NOT NULL COLLATE BINARY PRIMARY KEY,
    version    INTEGER NOT NULL,
    expires_at INTEGER,
    value      BLOB    NOT NULL
) STRICT;

CREATE INDEX entry_expires_at ON entry (expires_at) WHERE expires_at IS NOT NULL;
