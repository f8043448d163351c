-- The tables as they are after all migrations.

-- A dispatch: one message to one audience. Numbers of states and policies are the wire enums'.
CREATE TABLE dispatch (
    dispatch_id uuid PRIMARY KEY,
    app_id text NOT NULL,
    client_ref text NOT NULL,
    content_digest bytea NOT NULL,
    campaign text NOT NULL,
    purpose text NOT NULL,
    test boolean NOT NULL,
    delivery_policy smallint NOT NULL,
    message jsonb NOT NULL,
    audience_expression text NOT NULL,
    audience_installations bytea NOT NULL,
    audience_users text[] NOT NULL,
    state smallint NOT NULL,
    failure text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    finished_at timestamptz,
    expires_at timestamptz NOT NULL,
    UNIQUE (app_id, client_ref)
);

CREATE INDEX dispatch_newest ON dispatch (app_id, created_at DESC, dispatch_id DESC);

-- A key range of a dispatch's audience. state: 1 walking, 2 walked (pages may wait), 3 done.
-- epoch rises with every lease: whoever writes with an older one has lost the shard.
CREATE TABLE shard (
    dispatch_id uuid NOT NULL REFERENCES dispatch ON DELETE CASCADE,
    shard_no smallint NOT NULL,
    key_low bytea NOT NULL,
    key_high bytea NOT NULL,
    cursor bytea NOT NULL DEFAULT '',
    next_page integer NOT NULL DEFAULT 1,
    state smallint NOT NULL DEFAULT 1,
    due_at timestamptz NOT NULL,
    epoch bigint NOT NULL DEFAULT 0,
    leased_by uuid,
    leased_until timestamptz,
    PRIMARY KEY (dispatch_id, shard_no)
);

CREATE INDEX shard_due ON shard (due_at) WHERE state < 3;

-- A shard that is done keeps the time when it was left last: what may be forgotten comes first.
CREATE INDEX shard_done ON shard (due_at) WHERE state = 3;

-- A page of targets: one row with packed columns, whatever the number of targets. Tokens are never
-- among them. kind: 1 first, 2 follow_up. state: 1 waiting for due_at, 2 intent, 3 closed.
-- in_doubt: an attempt of these targets went unanswered.
-- installation_ids, token_refs: 16 bytes per target. platforms, providers, verdicts: one byte.
-- reasons: two bytes, little-endian, index into reason_names. sent_at, dead_since: eight bytes,
-- little-endian microseconds since 1970 UTC, 0 for none; empty when all are 0. environments: one byte,
-- for all targets when it is the only one; empty when nothing was sent.
CREATE TABLE page (
    dispatch_id uuid NOT NULL,
    shard_no smallint NOT NULL,
    page_no integer NOT NULL,
    kind smallint NOT NULL,
    state smallint NOT NULL,
    tries integer NOT NULL,
    sent_before boolean NOT NULL,
    in_doubt boolean NOT NULL,
    due_at timestamptz,
    opened_at timestamptz,
    closed_at timestamptz,
    cursor_after bytea,
    target_count integer NOT NULL,
    installation_ids bytea NOT NULL,
    token_refs bytea NOT NULL,
    platforms bytea NOT NULL,
    providers bytea NOT NULL,
    verdicts bytea,
    reasons bytea,
    reason_names text[],
    sent_at bytea,
    dead_since bytea,
    reported boolean NOT NULL DEFAULT false,
    report_after timestamptz,
    environments bytea NOT NULL DEFAULT '',
    PRIMARY KEY (dispatch_id, shard_no, page_no),
    FOREIGN KEY (dispatch_id, shard_no) REFERENCES shard ON DELETE CASCADE
);

-- UUIDs and hashes do not get smaller: trying to compress them costs more than all else of a page.
ALTER TABLE page
    ALTER COLUMN installation_ids SET STORAGE EXTERNAL,
    ALTER COLUMN token_refs SET STORAGE EXTERNAL;

CREATE INDEX page_waiting ON page (dispatch_id, shard_no, due_at) WHERE state = 1;

CREATE INDEX page_in_doubt ON page (dispatch_id, shard_no) WHERE state = 2;

CREATE INDEX page_unreported ON page (report_after) WHERE state = 3 AND NOT reported;

-- The books, by shard. outcome: nuncio_dispatcher.domain.books.Outcome. provider: 0 where the
-- outcome is not counted by provider.
CREATE TABLE tally (
    dispatch_id uuid NOT NULL REFERENCES dispatch ON DELETE CASCADE,
    shard_no smallint NOT NULL,
    outcome smallint NOT NULL,
    provider smallint NOT NULL,
    reason text NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (dispatch_id, shard_no, outcome, provider, reason)
);
