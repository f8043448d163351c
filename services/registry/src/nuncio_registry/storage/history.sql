-- name: record_consents
-- Appends what installations said to the ledger and, as CONSENT_CHANGED, to the change feed, by
-- columns, in order; not what only repeats the latest event of its purpose.
WITH news AS MATERIALIZED (
  SELECT new.*
    FROM unnest($3::uuid[], $4::smallint[], $5::text[], $6::smallint[], $7::text[], $8::text[],
                $9::text[], $10::text[])
         WITH ORDINALITY AS new (installation_id, platform, purpose, state, source,
                                 prompt_strategy, policy_version, actor, position)
         LEFT JOIN LATERAL (
           SELECT e.state, e.source, e.prompt_strategy, e.policy_version, e.actor
             FROM consent_event AS e
            WHERE e.app_id = $1 AND e.installation_id = new.installation_id
              AND e.purpose = new.purpose
            ORDER BY e.event_id DESC
            LIMIT 1
         ) AS latest ON TRUE
   WHERE (new.state, new.source, new.prompt_strategy, new.policy_version, new.actor)
         IS DISTINCT FROM (latest.state, latest.source, latest.prompt_strategy,
                           latest.policy_version, latest.actor)
), recorded AS (
  INSERT INTO consent_event (
           app_id, installation_id, purpose, state, source, prompt_strategy, policy_version,
           actor, changed_at)
  SELECT $1, news.installation_id, news.purpose, news.state, news.source, news.prompt_strategy,
         news.policy_version, news.actor, $2
    FROM news
   ORDER BY news.position
)
INSERT INTO change (app_id, happened_at, installation_id, kind, platform, value, detail)
SELECT $1, $2, news.installation_id, 8, news.platform, news.state, news.purpose
  FROM news
 ORDER BY news.position;

-- name: record_changes
-- Appends to the change feed, by columns, in order.
INSERT INTO change (app_id, happened_at, installation_id, kind, platform, value, detail)
SELECT $1, $2, new.installation_id, new.kind, new.platform, new.value, new.detail
  FROM unnest($3::uuid[], $4::smallint[], $5::smallint[], $6::smallint[], $7::text[])
       WITH ORDINALITY AS new (installation_id, kind, platform, value, detail, position)
 ORDER BY new.position;
