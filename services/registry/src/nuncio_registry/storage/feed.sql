-- name: has_news
-- Whether read_changes would give anything after the position $2, $3 but a page without events.
-- Asked by every watcher every second: so cheap that PostgreSQL keeps its plan. The order asks for
-- the index; EXISTS would pass over it, and a scan hopes for an early hit where there is none.
SELECT (
         SELECT TRUE
           FROM change AS n
          WHERE n.app_id = $1 AND (n.transaction_id, n.change_id) > ($2, $3)
            AND n.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
          ORDER BY n.transaction_id, n.change_id
          LIMIT 1
       ) IS NOT NULL
    OR EXISTS (
         SELECT FROM bookmark AS kept
          WHERE kept.app_id = $1 AND kept.name = 'deleted'
            AND (kept.transaction_id, kept.change_id) > ($2, $3)
       )
    OR $2 >= pg_snapshot_xmin(pg_current_snapshot());

-- name: read_changes
-- Changes after the position $2, $3 in order, at most $4 of them; without a position, the oldest
-- that are kept. None of a transaction that could still be overtaken: an older one is running.
-- Always a row, for the bookmark and the horizon of the same snapshot.
SELECT pg_snapshot_xmin(pg_current_snapshot()) AS horizon,
       coalesce(kept.transaction_id, '0') AS kept_transaction_id,
       coalesce(kept.change_id, 0) AS kept_change_id,
       c.transaction_id, c.change_id, c.installation_id, c.kind, c.value, c.detail, c.happened_at
  FROM (SELECT $1::text AS app_id) AS feed
       LEFT JOIN bookmark AS kept ON kept.app_id = feed.app_id AND kept.name = 'deleted'
       LEFT JOIN LATERAL (
         SELECT n.transaction_id, n.change_id, n.installation_id, n.kind, n.value, n.detail,
                n.happened_at
           FROM change AS n
          WHERE n.app_id = $1
            AND (n.transaction_id, n.change_id) >
                (coalesce($2::xid8, kept.transaction_id, '0'), coalesce($3, kept.change_id, 0))
            AND n.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
          ORDER BY n.transaction_id, n.change_id
          LIMIT $4
       ) AS c ON TRUE
 ORDER BY c.transaction_id, c.change_id;

-- name: feed_installations
-- The installations $2 as they are now, without their tokens. OFFSET 0 is a fence: each is looked
-- up by its key.
SELECT i.installation_id, i.platform, i.provider, i.environment, i.user_id, i.token_state,
       i.token_state_reason, i.token_hash, i.permission, i.language, i.country, i.time_zone,
       i.app_version, i.os_version, i.device_model, i.sdk_version, i.topics, i.tags, i.attributes,
       i.last_seen_at, i.consents_granted, i.consents_denied, i.created_at, i.registered_at,
       i.token_changed_at, i.last_opened_at, i.died_at, i.vapid_key_id
  FROM unnest($2::uuid[]) AS told (installation_id)
       CROSS JOIN LATERAL (
         SELECT i.*
           FROM installation AS i
          WHERE i.app_id = $1 AND i.installation_id = told.installation_id
         OFFSET 0
       ) AS i;

-- name: newest_change
-- The position after everything that read_changes gives now; none when there never was a change.
SELECT p.transaction_id, p.change_id
  FROM (
         (SELECT n.transaction_id, n.change_id
            FROM change AS n
           WHERE n.app_id = $1 AND n.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
           ORDER BY n.transaction_id DESC, n.change_id DESC
           LIMIT 1)
          UNION ALL
         SELECT kept.transaction_id, kept.change_id
           FROM bookmark AS kept
          WHERE kept.app_id = $1 AND kept.name = 'deleted'
       ) AS p
 ORDER BY p.transaction_id DESC, p.change_id DESC
 LIMIT 1;

-- name: oldest_changes
-- Of the oldest changes, at most $3: the last before the first one that is not older than $2, or
-- that the statistics have not counted yet. With the bookmark that they come after.
SELECT o.kept_transaction_id, o.kept_change_id, o.transaction_id, o.change_id
  FROM (
         SELECT coalesce(kept.transaction_id, '0') AS kept_transaction_id,
                coalesce(kept.change_id, 0) AS kept_change_id,
                n.transaction_id, n.change_id,
                bool_and(n.happened_at < $2)
                  OVER (ORDER BY n.transaction_id, n.change_id ROWS UNBOUNDED PRECEDING) AS is_old
           FROM bookmark AS counted
                LEFT JOIN bookmark AS kept ON kept.app_id = $1 AND kept.name = 'deleted'
                CROSS JOIN LATERAL (
                  SELECT c.transaction_id, c.change_id, c.happened_at
                    FROM change AS c
                   WHERE c.app_id = $1
                     AND (c.transaction_id, c.change_id) >
                         (coalesce(kept.transaction_id, '0'), coalesce(kept.change_id, 0))
                     AND (c.transaction_id, c.change_id) <=
                         (counted.transaction_id, counted.change_id)
                     AND c.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
                   ORDER BY c.transaction_id, c.change_id
                   LIMIT $3
                ) AS n
          WHERE counted.app_id = $1 AND counted.name = 'flow'
       ) AS o
 WHERE o.is_old
 ORDER BY o.transaction_id DESC, o.change_id DESC
 LIMIT 1;

-- name: delete_changes
-- Deletes what oldest_changes found: after $2, $3 and up to $4, $5; moves the bookmark there and
-- gives the number.
WITH deleted AS (
  DELETE FROM change AS c
   WHERE c.app_id = $1
     AND (c.transaction_id, c.change_id) > ($2, $3)
     AND (c.transaction_id, c.change_id) <= ($4, $5)
  RETURNING c.change_id
), moved AS (
  INSERT INTO bookmark AS b (app_id, name, transaction_id, change_id)
  VALUES ($1, 'deleted', $4, $5)
  ON CONFLICT (app_id, name) DO UPDATE
     SET transaction_id = excluded.transaction_id, change_id = excluded.change_id
   WHERE (b.transaction_id, b.change_id) < (excluded.transaction_id, excluded.change_id)
)
SELECT count(*) FROM deleted;
