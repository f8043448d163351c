-- name: sealed_tokens
-- The $4 installations after ($1, $2), in order, of all apps; the sealed token only of those whose
-- key is not $3. One that is sealed with it already costs its key: no statement looks for long.
SELECT i.app_id, i.installation_id, i.token_key_id,
       CASE WHEN i.token_key_id <> $3 THEN i.token_sealed END AS token_sealed
  FROM installation AS i
 WHERE (i.app_id, i.installation_id) > ($1, $2)
 ORDER BY i.app_id, i.installation_id
 LIMIT $4;

-- name: reseal_tokens
-- Tokens sealed anew with the key $1, by columns; not those that changed since they were read.
WITH resealed AS (
  UPDATE installation AS i
     SET token_sealed = new.sealed, token_key_id = $1
    FROM unnest($2::text[], $3::uuid[], $4::bytea[], $5::bytea[])
         AS new (app_id, installation_id, before, sealed)
   WHERE i.app_id = new.app_id AND i.installation_id = new.installation_id
     AND i.token_sealed = new.before
  RETURNING i.installation_id
)
SELECT count(*) FROM resealed;
