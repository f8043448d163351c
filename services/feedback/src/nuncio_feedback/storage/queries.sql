-- The statements of storage/postgres.py. outcome 0 is PENDING.

-- name: note_page
-- One row when the page is new; none when it was reported before.
INSERT INTO reported_page (app_id, page_id, reported_at)
VALUES ($1, $2, $3)
    ON CONFLICT (app_id, page_id) DO NOTHING
RETURNING true;

-- name: add_invalidations
-- The dead tokens of a page, all pending.
INSERT INTO invalidation
       (app_id, dispatch_id, reported_at, installation_id, token_ref, provider, reason, dead_since,
        lane, campaign)
SELECT $1, $2, $3,
       dead.installation_id, dead.token_ref, dead.provider, dead.reason, dead.dead_since,
       dead.lane, dead.campaign
  FROM unnest($4::uuid[], $5::bytea[], $6::smallint[], $7::text[], $8::timestamptz[],
              $9::text[], $10::text[])
       AS dead (installation_id, token_ref, provider, reason, dead_since, lane, campaign);

-- name: add_outcomes
-- The counts of a page, one row per kind and hour. The order keeps pages of one dispatch, which
-- share rows and come at the same time, from waiting for one another in a circle.
INSERT INTO outcome_rollup AS known
       (app_id, campaign, dispatch_id, test, platform, provider, verdict, reason, hour, count)
SELECT $1, $2, $3, $4,
       tally.platform, tally.provider, tally.verdict, tally.reason, tally.hour, tally.rows
  FROM unnest($5::smallint[], $6::smallint[], $7::smallint[], $8::text[], $9::timestamptz[],
              $10::bigint[])
       AS tally (platform, provider, verdict, reason, hour, rows)
 ORDER BY tally.platform, tally.provider, tally.verdict, tally.reason, tally.hour
    ON CONFLICT (app_id, campaign, dispatch_id, platform, provider, verdict, reason, test, hour)
    DO UPDATE SET count = known.count + excluded.count;

-- name: count_outcomes
-- Outcomes of a campaign ('': any) and a dispatch (NULL: all), by kind, those of tests apart.
SELECT platform, provider, verdict, reason, test, sum(count)::bigint AS count
  FROM outcome_rollup
 WHERE app_id = $1
   AND ($2 = '' OR campaign = $2)
   AND ($3::uuid IS NULL OR dispatch_id = $3)
 GROUP BY platform, provider, verdict, reason, test
 ORDER BY test, platform, provider, verdict, reason;

-- name: count_invalidations
-- Invalidations of the same dispatches, by outcome. Whatever was called dead was also counted, so
-- the rollup knows the dispatches of a campaign.
SELECT outcome, count(*) AS count
  FROM invalidation
 WHERE app_id = $1
   AND dispatch_id IN (
         SELECT dispatch_id
           FROM outcome_rollup
          WHERE app_id = $1
            AND ($2 = '' OR campaign = $2)
            AND ($3::uuid IS NULL OR dispatch_id = $3))
 GROUP BY outcome
 ORDER BY outcome;

-- name: forget_pages
-- How many page ids went: the oldest, at most $2 of them.
WITH gone AS (
  DELETE FROM reported_page
   WHERE (app_id, page_id) IN (
           SELECT app_id, page_id
             FROM reported_page
            WHERE reported_at < $1
            ORDER BY reported_at
            LIMIT $2
              FOR UPDATE SKIP LOCKED)
  RETURNING true
)
SELECT count(*) FROM gone;

-- name: backlog
-- What is pending per app, the longest waiting first.
SELECT app_id, count(*) AS count, min(reported_at) AS oldest
  FROM invalidation
 WHERE outcome = 0
 GROUP BY app_id
 ORDER BY oldest, app_id;

-- name: take_pending
-- The oldest pending ones of an app that no other replica holds; locked until the transaction ends.
SELECT number, installation_id, token_ref, provider, reason, dead_since, lane, campaign
  FROM invalidation
 WHERE app_id = $1 AND outcome = 0
 ORDER BY reported_at, number
 LIMIT $2
   FOR UPDATE SKIP LOCKED;

-- name: store_answers
-- What the registry did with each of them.
UPDATE invalidation AS asked
   SET outcome = answer.outcome
  FROM unnest($2::bigint[], $3::smallint[]) AS answer (number, outcome)
 WHERE asked.app_id = $1 AND asked.number = answer.number;

-- name: newest_of_app
-- Invalidations of an app after a position, newest first.
SELECT number, installation_id, dispatch_id, provider, reason, dead_since, outcome, reported_at
  FROM invalidation
 WHERE app_id = $1 AND (reported_at, number) < ($2::timestamptz, $3::bigint)
 ORDER BY reported_at DESC, number DESC
 LIMIT $4;

-- name: newest_of_dispatch
-- Invalidations of a dispatch after a position, newest first.
SELECT number, installation_id, dispatch_id, provider, reason, dead_since, outcome, reported_at
  FROM invalidation
 WHERE app_id = $1 AND (reported_at, number) < ($2::timestamptz, $3::bigint) AND dispatch_id = $5
 ORDER BY reported_at DESC, number DESC
 LIMIT $4;
