-- name: add_dispatch
-- Store a dispatch with its shards; no row when the client_ref is in use.
WITH added AS (
    INSERT INTO dispatch (
        dispatch_id, app_id, client_ref, content_digest, campaign, purpose, test, delivery_policy,
        message, audience_expression, audience_installations, audience_users, state, created_at,
        expires_at
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13, $14)
    ON CONFLICT (app_id, client_ref) DO NOTHING
    RETURNING dispatch_id, created_at
)
INSERT INTO shard (dispatch_id, shard_no, key_low, key_high, due_at)
SELECT added.dispatch_id, part.shard_no, part.key_low, part.key_high, added.created_at
  FROM added,
       unnest($15::bytea[], $16::bytea[])
       WITH ORDINALITY AS part (key_low, key_high, shard_no)
RETURNING dispatch_id;

-- name: find_dispatch
-- Whom a client_ref belongs to.
SELECT dispatch_id, content_digest
  FROM dispatch
 WHERE app_id = $1 AND client_ref = $2;

-- name: get_dispatch
-- A dispatch and its books, in one snapshot.
SELECT d.dispatch_id, d.app_id, d.client_ref, d.content_digest, d.campaign, d.purpose, d.test,
       d.delivery_policy, d.state, d.failure, d.created_at, d.started_at, d.finished_at,
       d.expires_at, b.outcomes, b.providers, b.reasons, b.counts
  FROM dispatch AS d
 CROSS JOIN LATERAL (
       SELECT array_agg(t.outcome) AS outcomes, array_agg(t.provider) AS providers,
              array_agg(t.reason) AS reasons, array_agg(t.count) AS counts
         FROM (SELECT outcome, provider, reason, sum(count)::bigint AS count
                 FROM tally
                WHERE dispatch_id = d.dispatch_id
                GROUP BY outcome, provider, reason) AS t
        WHERE t.count <> 0) AS b
 WHERE d.dispatch_id = $1;

-- name: marks_of_dispatches
-- A number per dispatch that changes with its state and its books.
SELECT d.dispatch_id, hashtextextended(concat_ws('/', d.state, d.finished_at, t.lines), 0) AS mark
  FROM unnest($1::uuid[]) AS followed (dispatch_id)
       JOIN dispatch AS d USING (dispatch_id)
 CROSS JOIN LATERAL (
       SELECT string_agg(concat_ws(':', shard_no, outcome, provider, reason, count), ','
                         ORDER BY shard_no, outcome, provider, reason) AS lines
         FROM tally
        WHERE dispatch_id = d.dispatch_id) AS t;

-- name: list_dispatches
-- An app's dispatches with their books, newest first, after ($3, $4); $2 '' means all campaigns.
SELECT d.dispatch_id, d.app_id, d.client_ref, d.content_digest, d.campaign, d.purpose, d.test,
       d.delivery_policy, d.state, d.failure, d.created_at, d.started_at, d.finished_at,
       d.expires_at, b.outcomes, b.providers, b.reasons, b.counts
  FROM dispatch AS d
 CROSS JOIN LATERAL (
       SELECT array_agg(t.outcome) AS outcomes, array_agg(t.provider) AS providers,
              array_agg(t.reason) AS reasons, array_agg(t.count) AS counts
         FROM (SELECT outcome, provider, reason, sum(count)::bigint AS count
                 FROM tally
                WHERE dispatch_id = d.dispatch_id
                GROUP BY outcome, provider, reason) AS t
        WHERE t.count <> 0) AS b
 WHERE d.app_id = $1
   AND ($2::text = '' OR d.campaign = $2)
   AND ($3::timestamptz IS NULL OR (d.created_at, d.dispatch_id) < ($3, $4::uuid))
 ORDER BY d.created_at DESC, d.dispatch_id DESC
 LIMIT $5;

-- name: claim_shards
-- Lease shards that are due and free; new ones ($5: by how much) before those that had a turn.
-- Leases are measured by the database's clock alone. $6 and $7 are shards that the owner still has.
WITH free AS (
    SELECT dispatch_id, shard_no
      FROM shard
     WHERE state < 3 AND due_at <= $4 AND (leased_until IS NULL OR leased_until < now())
       AND (dispatch_id, shard_no) NOT IN (SELECT held.dispatch_id, held.shard_no
                                             FROM unnest($6::uuid[], $7::smallint[])
                                                  AS held (dispatch_id, shard_no))
     ORDER BY CASE WHEN epoch = 0 THEN due_at - $5::interval ELSE due_at END
     LIMIT $2
       FOR UPDATE SKIP LOCKED
)
UPDATE shard AS s
   SET epoch = s.epoch + 1, leased_by = $1, leased_until = now() + $3::interval
  FROM free JOIN dispatch AS d USING (dispatch_id)
 WHERE s.dispatch_id = free.dispatch_id AND s.shard_no = free.shard_no
RETURNING s.dispatch_id, s.shard_no, s.epoch, s.key_low, s.key_high, s.cursor, s.state,
          d.app_id, d.campaign, d.purpose, d.test, d.delivery_policy, d.message,
          d.audience_expression, d.audience_installations, d.audience_users, d.expires_at;

-- name: queue_of_shards
-- How many shards are due and free, of the $2 that would be claimed first: new ones and others.
SELECT count(*) FILTER (WHERE epoch = 0) AS new, count(*) FILTER (WHERE epoch > 0) AS known
  FROM (SELECT epoch
          FROM shard
         WHERE state < 3 AND due_at <= $1 AND (leased_until IS NULL OR leased_until < now())
         ORDER BY CASE WHEN epoch = 0 THEN due_at - $3::interval ELSE due_at END
         LIMIT $2) AS first;

-- name: renew_leases
-- Make an owner's leases last longer; gives those that it still has.
UPDATE shard AS s
   SET leased_until = now() + $5::interval
  FROM unnest($2::uuid[], $3::smallint[], $4::bigint[]) AS held (dispatch_id, shard_no, epoch)
 WHERE s.dispatch_id = held.dispatch_id AND s.shard_no = held.shard_no
   AND s.epoch = held.epoch AND s.leased_by = $1
RETURNING s.dispatch_id, s.shard_no, s.epoch;

-- name: lock_dispatch
-- Held while a shard is left, so that of two that end at once, the second sees the first.
SELECT dispatch_id
  FROM dispatch
 WHERE dispatch_id = $1
   FOR UPDATE;

-- name: leave_shard
-- Give a lease back. A walked shard without open pages is done.
UPDATE shard AS s
   SET leased_by = NULL, leased_until = NULL,
       state = CASE WHEN s.state = 2 AND p.open = 0 THEN 3 ELSE s.state END,
       due_at = greatest($5, CASE WHEN s.state = 2 THEN coalesce(p.due_at, $4) ELSE $4 END)
  FROM (SELECT count(*) AS open, min(due_at) FILTER (WHERE state = 1) AS due_at
          FROM page
         WHERE dispatch_id = $1 AND shard_no = $2 AND state < 3) AS p
 WHERE s.dispatch_id = $1 AND s.shard_no = $2 AND s.epoch = $3
RETURNING s.state;

-- name: finish_dispatch
-- COMPLETED, or FAILED when a walk was; only once all shards are done.
UPDATE dispatch AS d
   SET state = CASE WHEN d.failure = '' THEN 3 ELSE 4 END, finished_at = $2
 WHERE d.dispatch_id = $1 AND d.finished_at IS NULL
   AND NOT EXISTS (SELECT FROM shard WHERE dispatch_id = $1 AND state < 3)
RETURNING d.dispatch_id;

-- name: open_page
-- Journal a page of the audience as intent, with its entries; no row when the lease is lost.
WITH held AS (
    UPDATE shard
       SET next_page = next_page + 1
     WHERE dispatch_id = $1 AND shard_no = $2 AND epoch = $3
    RETURNING next_page - 1 AS page_no
), opened AS (
    INSERT INTO page (
        dispatch_id, shard_no, page_no, kind, state, tries, sent_before, in_doubt, opened_at,
        cursor_after, target_count, installation_ids, token_refs, platforms, providers
    )
    SELECT $1, $2, held.page_no, 1, 2, 0, false, false, $4, $5, $6, $7, $8, $9, $10
      FROM held
), started AS (
    UPDATE dispatch
       SET state = 2, started_at = $4
      FROM held
     WHERE dispatch_id = $1 AND state = 1
), tallied AS (
    INSERT INTO tally AS t (dispatch_id, shard_no, outcome, provider, reason, count)
    SELECT $1, $2, entry.outcome, entry.provider, entry.reason, entry.count
      FROM held,
           unnest($11::smallint[], $12::smallint[], $13::text[], $14::bigint[])
           AS entry (outcome, provider, reason, count)
    ON CONFLICT (dispatch_id, shard_no, outcome, provider, reason)
    DO UPDATE SET count = t.count + excluded.count
)
SELECT page_no FROM held;

-- name: reopen_page
-- Journal a waiting page as intent, with the rows that are left; no row when the lease is lost.
WITH held AS (
    SELECT shard_no
      FROM shard
     WHERE dispatch_id = $1 AND shard_no = $2 AND epoch = $3
       FOR UPDATE
), opened AS (
    UPDATE page
       SET state = 2, opened_at = $5, target_count = $6, installation_ids = $7, token_refs = $8,
           platforms = $9, providers = $10
      FROM held
     WHERE page.dispatch_id = $1 AND page.shard_no = held.shard_no AND page.page_no = $4
), tallied AS (
    INSERT INTO tally AS t (dispatch_id, shard_no, outcome, provider, reason, count)
    SELECT $1, $2, entry.outcome, entry.provider, entry.reason, entry.count
      FROM held,
           unnest($11::smallint[], $12::smallint[], $13::text[], $14::bigint[])
           AS entry (outcome, provider, reason, count)
    ON CONFLICT (dispatch_id, shard_no, outcome, provider, reason)
    DO UPDATE SET count = t.count + excluded.count
)
SELECT shard_no FROM held;

-- name: close_page
-- Journal a result: verdicts, the walk's cursor, follow-ups, entries. Only a page that is in the
-- state $5 is closed, so that nothing is counted twice. No row when the lease is lost.
WITH held AS (
    SELECT shard_no, next_page
      FROM shard
     WHERE dispatch_id = $1 AND shard_no = $2 AND epoch = $3
       FOR UPDATE
), closed AS (
    UPDATE page
       SET state = 3, closed_at = $6, report_after = $6, verdicts = $7, reasons = $8,
           reason_names = $9, sent_at = $10, dead_since = $11, reported = $12, environments = $26
      FROM held
     WHERE page.dispatch_id = $1 AND page.shard_no = held.shard_no AND page.page_no = $4
       AND page.state = $5
    RETURNING page.cursor_after
), moved AS (
    UPDATE shard
       SET cursor = coalesce(closed.cursor_after, shard.cursor),
           next_page = shard.next_page + cardinality($13::timestamptz[])
      FROM closed
     WHERE shard.dispatch_id = $1 AND shard.shard_no = $2
), follow_ups AS (
    INSERT INTO page (
        dispatch_id, shard_no, page_no, kind, state, tries, sent_before, in_doubt, due_at,
        target_count, installation_ids, token_refs, platforms, providers
    )
    SELECT $1, $2, held.next_page + next.place - 1, 2, 1, next.tries, next.sent_before,
           next.in_doubt, next.due_at, next.target_count, next.installation_ids, next.token_refs,
           next.platforms, next.providers
      FROM held, closed,
           unnest($13::timestamptz[], $14::integer[], $15::boolean[], $16::boolean[],
                  $17::integer[], $18::bytea[], $19::bytea[], $20::bytea[],
                  $21::bytea[])
           WITH ORDINALITY
           AS next (due_at, tries, sent_before, in_doubt, target_count, installation_ids,
                    token_refs, platforms, providers, place)
), tallied AS (
    INSERT INTO tally AS t (dispatch_id, shard_no, outcome, provider, reason, count)
    SELECT $1, $2, entry.outcome, entry.provider, entry.reason, entry.count
      FROM closed,
           unnest($22::smallint[], $23::smallint[], $24::text[], $25::bigint[])
           AS entry (outcome, provider, reason, count)
    ON CONFLICT (dispatch_id, shard_no, outcome, provider, reason)
    DO UPDATE SET count = t.count + excluded.count
)
SELECT shard_no FROM held;

-- name: put_page_back
-- Journal a result without any outcome: the open page waits again, from $5 on, with the rows of its
-- first follow-up; $15 and on are the others. No row when the lease is lost.
WITH held AS (
    SELECT shard_no, next_page
      FROM shard
     WHERE dispatch_id = $1 AND shard_no = $2 AND epoch = $3
       FOR UPDATE
), back AS (
    UPDATE page
       SET kind = 2, state = 1, due_at = $5, tries = $6, sent_before = $7, in_doubt = $8,
           target_count = $9, installation_ids = $10, token_refs = $11, platforms = $12,
           providers = $13, opened_at = NULL, cursor_after = NULL
      FROM held
     WHERE page.dispatch_id = $1 AND page.shard_no = held.shard_no AND page.page_no = $4
       AND page.state = 2
    RETURNING page.page_no
), moved AS (
    UPDATE shard
       SET cursor = coalesce($14, shard.cursor),
           next_page = shard.next_page + cardinality($15::timestamptz[])
      FROM back
     WHERE shard.dispatch_id = $1 AND shard.shard_no = $2
), follow_ups AS (
    INSERT INTO page (
        dispatch_id, shard_no, page_no, kind, state, tries, sent_before, in_doubt, due_at,
        target_count, installation_ids, token_refs, platforms, providers
    )
    SELECT $1, $2, held.next_page + next.place - 1, 2, 1, next.tries, next.sent_before,
           next.in_doubt, next.due_at, next.target_count, next.installation_ids, next.token_refs,
           next.platforms, next.providers
      FROM held, back,
           unnest($15::timestamptz[], $16::integer[], $17::boolean[], $18::boolean[],
                  $19::integer[], $20::bytea[], $21::bytea[], $22::bytea[],
                  $23::bytea[])
           WITH ORDINALITY
           AS next (due_at, tries, sent_before, in_doubt, target_count, installation_ids,
                    token_refs, platforms, providers, place)
), tallied AS (
    INSERT INTO tally AS t (dispatch_id, shard_no, outcome, provider, reason, count)
    SELECT $1, $2, entry.outcome, entry.provider, entry.reason, entry.count
      FROM back,
           unnest($24::smallint[], $25::smallint[], $26::text[], $27::bigint[])
           AS entry (outcome, provider, reason, count)
    ON CONFLICT (dispatch_id, shard_no, outcome, provider, reason)
    DO UPDATE SET count = t.count + excluded.count
)
SELECT shard_no FROM held;

-- name: end_walk
-- The audience has no more pages; a failure of the walk is kept with the dispatch.
WITH held AS (
    UPDATE shard
       SET state = 2
     WHERE dispatch_id = $1 AND shard_no = $2 AND epoch = $3
    RETURNING shard_no
), failed AS (
    UPDATE dispatch
       SET failure = $4
      FROM held
     WHERE dispatch_id = $1 AND $4::text <> ''
)
SELECT shard_no FROM held;

-- name: pages_in_doubt
-- Pages that were opened and not closed.
SELECT page_no, tries, sent_before, in_doubt, opened_at, cursor_after, installation_ids, token_refs,
       platforms, providers
  FROM page
 WHERE dispatch_id = $1 AND shard_no = $2 AND state = 2
 ORDER BY page_no;

-- name: due_page
-- The waiting page that has been due the longest.
SELECT page_no, tries, sent_before, in_doubt, opened_at, cursor_after, installation_ids, token_refs,
       platforms, providers
  FROM page
 WHERE dispatch_id = $1 AND shard_no = $2 AND state = 1 AND due_at <= $3
 ORDER BY due_at
 LIMIT 1;

-- name: take_outcomes
-- The oldest pages that feedback has not got, kept from other replicas for a while.
WITH oldest AS (
    SELECT dispatch_id, shard_no, page_no
      FROM page
     WHERE state = 3 AND NOT reported AND report_after <= now()
     ORDER BY report_after
     LIMIT $1
       FOR UPDATE SKIP LOCKED
)
UPDATE page AS p
   SET report_after = now() + $2::interval
  FROM oldest JOIN dispatch AS d USING (dispatch_id)
 WHERE p.dispatch_id = oldest.dispatch_id AND p.shard_no = oldest.shard_no
   AND p.page_no = oldest.page_no
RETURNING p.dispatch_id, p.shard_no, p.page_no, d.app_id, d.campaign, d.test, p.installation_ids,
          p.token_refs, p.platforms, p.providers, p.verdicts, p.reasons, p.reason_names, p.sent_at,
          p.dead_since, p.environments;

-- name: mark_reported
-- Feedback has these pages.
UPDATE page AS p
   SET reported = true
  FROM unnest($1::uuid[], $2::smallint[], $3::integer[]) AS stored (dispatch_id, shard_no, page_no)
 WHERE p.dispatch_id = stored.dispatch_id AND p.shard_no = stored.shard_no
   AND p.page_no = stored.page_no;

-- name: backlog
-- What waits: targets in pages for another attempt, pages for feedback, shards for a worker.
SELECT (SELECT coalesce(sum(target_count), 0)::bigint FROM page WHERE state = 1) AS waiting_targets,
       (SELECT count(*) FROM page WHERE state = 3 AND NOT reported) AS unreported_pages,
       (SELECT count(*) FROM shard WHERE state < 3 AND due_at <= now()) AS due_shards;

-- name: forget_pages
-- Delete some reported pages of dispatches that finished before $1.
WITH old AS (
    SELECT p.dispatch_id, p.shard_no, p.page_no
      FROM shard AS s
           JOIN dispatch AS d USING (dispatch_id)
           JOIN page AS p USING (dispatch_id, shard_no)
     WHERE s.state = 3 AND s.due_at < $1 AND d.finished_at < $1 AND p.reported
     LIMIT $2
       FOR UPDATE OF p SKIP LOCKED
)
DELETE FROM page AS p
 USING old
 WHERE p.dispatch_id = old.dispatch_id AND p.shard_no = old.shard_no AND p.page_no = old.page_no
RETURNING p.page_no;

-- name: forget_shards
-- Delete some shards without pages, of dispatches that finished before $1.
WITH old AS (
    SELECT s.dispatch_id, s.shard_no
      FROM shard AS s JOIN dispatch AS d USING (dispatch_id)
     WHERE s.state = 3 AND s.due_at < $1 AND d.finished_at < $1
       AND NOT EXISTS (SELECT
                         FROM page AS p
                        WHERE p.dispatch_id = s.dispatch_id AND p.shard_no = s.shard_no)
     LIMIT $2
       FOR UPDATE OF s SKIP LOCKED
)
DELETE FROM shard AS s
 USING old
 WHERE s.dispatch_id = old.dispatch_id AND s.shard_no = old.shard_no
RETURNING s.shard_no;
