-- The tables as they are after all migrations.

CREATE TABLE reported_page (
  app_id text NOT NULL,
  page_id text NOT NULL,
  reported_at timestamptz NOT NULL,
  PRIMARY KEY (app_id, page_id)
);
CREATE INDEX reported_page_age ON reported_page (reported_at);

CREATE TABLE outcome_rollup (
  app_id text NOT NULL,
  campaign text NOT NULL,
  dispatch_id uuid NOT NULL,
  platform smallint NOT NULL,
  provider smallint NOT NULL,
  verdict smallint NOT NULL,
  reason text NOT NULL,
  test boolean NOT NULL,
  hour timestamptz NOT NULL,
  count bigint NOT NULL,
  PRIMARY KEY (app_id, campaign, dispatch_id, platform, provider, verdict, reason, test, hour)
);
CREATE INDEX outcome_rollup_dispatch ON outcome_rollup (app_id, dispatch_id);

CREATE TABLE invalidation (
  app_id text NOT NULL,
  number bigint GENERATED ALWAYS AS IDENTITY,
  installation_id uuid NOT NULL,
  token_ref bytea NOT NULL,
  dispatch_id uuid NOT NULL,
  provider smallint NOT NULL,
  reason text NOT NULL,
  dead_since timestamptz NOT NULL,
  outcome smallint NOT NULL DEFAULT 0,
  reported_at timestamptz NOT NULL,
  lane text NOT NULL DEFAULT '',
  campaign text NOT NULL DEFAULT '',
  PRIMARY KEY (app_id, number)
);
CREATE INDEX invalidation_newest ON invalidation (app_id, reported_at, number);
CREATE INDEX invalidation_dispatch ON invalidation (app_id, dispatch_id, reported_at, number);
CREATE INDEX invalidation_pending ON invalidation (app_id, reported_at, number) WHERE outcome = 0;
