-- name: latest_answers
-- The latest event of each installation and purpose, keys $2 to $3, counted.
SELECT latest.purpose, latest.prompt_strategy, latest.state, count(*) AS installations
  FROM (
         SELECT DISTINCT ON (e.installation_id, e.purpose)
                e.purpose, e.prompt_strategy, e.state
           FROM consent_event AS e
          WHERE e.app_id = $1 AND e.installation_id BETWEEN $2 AND $3
          ORDER BY e.installation_id DESC, e.purpose DESC, e.event_id DESC
       ) AS latest
 GROUP BY latest.purpose, latest.prompt_strategy, latest.state;

-- name: users_part
-- Users of the next $3 installations after user $2, by their number of live installations. The
-- last user may go on in the next part and is left to it, unless there is no other.
WITH part AS MATERIALIZED (
  SELECT i.user_id, i.token_state
    FROM installation AS i
   WHERE i.app_id = $1 AND i.user_id IS NOT NULL AND i.user_id > $2
   ORDER BY i.user_id
   LIMIT $3
), seen AS (
  SELECT user_id, least(count(*) FILTER (WHERE token_state = 1), 5) AS live
    FROM part
   GROUP BY user_id
), whole AS MATERIALIZED (
  SELECT user_id, live
    FROM seen
   WHERE (SELECT count(*) FROM part) < $3
      OR (SELECT count(*) FROM seen) = 1
      OR user_id < (SELECT max(user_id) FROM part)
)
SELECT w.live, count(*) AS users, (SELECT max(user_id) FROM whole) AS cursor,
       (SELECT count(*) FROM part) < $3 AS is_last
  FROM whole AS w
 GROUP BY w.live;

-- name: put_stock
-- The count of the day $2, unless a later one is there or the app was deleted; $5 to $7 tell when
-- to count again before its turn.
INSERT INTO stock AS s (
         app_id, day, counted_at, document, recount_from, recount_since, recount_changes)
SELECT a.app_id, $2, $3, $4, $5, $6, $7 FROM app AS a WHERE a.app_id = $1 FOR KEY SHARE
ON CONFLICT (app_id, day) DO UPDATE
   SET counted_at = excluded.counted_at, document = excluded.document,
       recount_from = excluded.recount_from, recount_since = excluded.recount_since,
       recount_changes = excluded.recount_changes
 WHERE s.counted_at <= excluded.counted_at;

-- name: rolled_up
-- How many changes of the days since $2 are counted.
SELECT coalesce(sum(f.count), 0)::bigint FROM flow AS f WHERE f.app_id = $1 AND f.day >= $2;

-- name: latest_stock
-- What was counted last.
SELECT counted_at, document FROM stock WHERE app_id = $1 ORDER BY day DESC LIMIT 1;

-- name: active_by_day
-- Live installations at the last count of each day since $2.
SELECT day, (document ->> 'active')::bigint AS active
  FROM stock
 WHERE app_id = $1 AND day >= $2;

-- name: flows
-- What happened day by day since $2.
SELECT day, kind, value, sum(count)::bigint AS times
  FROM flow
 WHERE app_id = $1 AND day >= $2
 GROUP BY day, kind, value;

-- name: has_uncounted
-- Whether count_changes would find changes, or its bookmark is not there yet. An app in which
-- nothing happens is asked this every few seconds: nothing is written. The order asks for the
-- index, as in has_news.
SELECT b.app_id IS NULL
    OR (
         SELECT TRUE
           FROM change AS c
          WHERE c.app_id = $1
            AND (c.transaction_id, c.change_id) > (b.transaction_id, b.change_id)
            AND c.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
          ORDER BY c.transaction_id, c.change_id
          LIMIT 1
       ) IS NOT NULL
  FROM (SELECT $1::text AS app_id) AS asked
       LEFT JOIN bookmark AS b ON b.app_id = asked.app_id AND b.name = 'flow';

-- name: waiting
-- When the oldest change happened that is not counted yet, and the oldest that no reader of the feed is
-- given: a transaction that is not newer still runs. NULL: there is none. The order asks for the
-- index, as in has_news.
SELECT (
         SELECT c.happened_at
           FROM change AS c
          WHERE c.app_id = $1
            AND (c.transaction_id, c.change_id) >
                (coalesce(b.transaction_id, '0'), coalesce(b.change_id, 0))
          ORDER BY c.transaction_id, c.change_id
          LIMIT 1
       ) AS uncounted_since,
       (
         SELECT c.happened_at
           FROM change AS c
          WHERE c.app_id = $1
            AND c.transaction_id >= pg_snapshot_xmin(pg_current_snapshot())
          ORDER BY c.transaction_id, c.change_id
          LIMIT 1
       ) AS held_back_since
  FROM (SELECT $1::text AS app_id) AS asked
       LEFT JOIN bookmark AS b ON b.app_id = asked.app_id AND b.name = 'flow';

-- name: keep_app
-- One row when there is such an app; it is not deleted until the transaction ends.
SELECT app_id FROM app WHERE app_id = $1 FOR KEY SHARE;

-- name: open_flow_bookmark
-- The position before everything, unless there is one.
INSERT INTO bookmark (app_id, name, transaction_id, change_id)
VALUES ($1, 'flow', '0', 0)
ON CONFLICT (app_id, name) DO NOTHING;

-- name: lock_flow_bookmark
-- Who counts has it alone.
SELECT FROM bookmark WHERE app_id = $1 AND name = 'flow' FOR UPDATE;

-- name: count_changes
-- The next $2 changes into their days (UTC), and the bookmark behind them; how many. Stops before
-- the oldest transaction that still runs, as feed.sql does: nothing is committed behind it.
WITH part AS MATERIALIZED (
  SELECT c.transaction_id, c.change_id, c.kind, c.value, c.platform,
         (c.happened_at AT TIME ZONE 'UTC')::date AS day
    FROM change AS c
   WHERE c.app_id = $1
     AND (c.transaction_id, c.change_id) > (
           (SELECT b.transaction_id FROM bookmark AS b WHERE b.app_id = $1 AND b.name = 'flow'),
           (SELECT b.change_id FROM bookmark AS b WHERE b.app_id = $1 AND b.name = 'flow'))
     AND c.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
   ORDER BY c.transaction_id, c.change_id
   LIMIT $2
), counted AS (
  INSERT INTO flow AS f (app_id, day, kind, value, platform, count)
  SELECT $1, p.day, p.kind, p.value, p.platform, count(*)
    FROM part AS p
   GROUP BY p.day, p.kind, p.value, p.platform
  ON CONFLICT (app_id, day, kind, value, platform) DO UPDATE SET count = f.count + excluded.count
)
UPDATE bookmark AS b
   SET transaction_id = last.transaction_id, change_id = last.change_id
  FROM (
         SELECT p.transaction_id, p.change_id
           FROM part AS p
          ORDER BY p.transaction_id DESC, p.change_id DESC
          LIMIT 1
       ) AS last
 WHERE b.app_id = $1 AND b.name = 'flow'
RETURNING (SELECT count(*) FROM part);
