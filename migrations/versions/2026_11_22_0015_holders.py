"""A withdrawal waits for the holder of keys, not for one key: it outlives the key, and the next key can confirm it.

By key, a withdrawal that nobody had confirmed was listed no longer once the key was rotated or expired, and what the new
key confirmed did not count for the old one.
"""

import importlib.util
from pathlib import Path
from typing import Any

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

WRITERS = "chronika_editor, chronika_guardian"

# Withdrawals from partners, newest first, with each holder that has not confirmed them. The keys of one origin are one
# holder's; of those that write for this installation, `here`, those of one name. A holder that confirms nothing at all
# may hold everything, so it is listed for whatever was withdrawn since its first key was made. One whose keys have all
# ended can still hold what partners could see before that.
UNCONFIRMED = f"""
DROP FUNCTION unconfirmed_withdrawals(varchar[], bigint, integer);
CREATE FUNCTION unconfirmed_withdrawals(kinds varchar[], before bigint, most integer, here varchar)
RETURNS TABLE (seq bigint, record_type varchar, record_id uuid, at timestamptz, deleted boolean, partners jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH held AS MATERIALIZED (
        SELECT k.id, k.name, k.origin, CASE WHEN k.origin = here THEN k.name ELSE '' END AS named, k.created_at,
               least(k.revoked_at, k.expires_at) AS ended,
               CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked' WHEN k.expires_at <= now() THEN 'expired' ELSE 'valid' END AS state
          FROM keys k WHERE k.role = 'partner'
    ), holders AS MATERIALIZED (
        SELECT DISTINCT ON (h.origin, h.named) h.origin, h.named, h.id, h.name, h.state,
               min(h.created_at) OVER w AS since, max(h.ended) OVER w AS ended
          FROM held h WINDOW w AS (PARTITION BY h.origin, h.named)
         ORDER BY h.origin, h.named, h.state = 'valid' DESC, h.ended DESC, h.created_at DESC, h.id
    ), confirmed AS MATERIALIZED (
        SELECT h.origin, h.named, f.types, f.seq, f.at FROM feed_acks f JOIN held h ON h.id = f.holder WHERE f.level = 1
    )
    SELECT c.seq_partner, c.record_type, c.record_id, c.at, c.op = 'delete', p.waiting
      FROM changes c
     CROSS JOIN LATERAL (
        SELECT min(l.at) AS at FROM changes l WHERE l.record_id = c.record_id AND l.closed AND l.level_after <= 1) shown
     CROSS JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object('key', h.id, 'name', h.name, 'confirmed_at', a.at, 'state', h.state,
                         'holder', CASE WHEN h.origin = here THEN h.name ELSE h.origin END) ORDER BY h.name, h.id) AS waiting
          FROM holders h
          LEFT JOIN LATERAL (
            SELECT max(f.seq) AS seq, max(f.at) AS at FROM confirmed f
             WHERE f.origin = h.origin AND f.named = h.named
               AND f.types & (1 << array_position(kinds, c.record_type) - 1) <> 0) a ON true
         WHERE h.since <= c.at AND h.ended > coalesce(shown.at, '-infinity')
           AND (a.seq < c.seq_partner
                OR a.seq IS NULL AND NOT EXISTS (SELECT FROM confirmed f WHERE f.origin = h.origin AND f.named = h.named))) p
     WHERE c.seq_partner < before AND c.had_partner AND coalesce(c.level_after, 2) > 1 AND p.waiting IS NOT NULL
       AND NOT EXISTS (SELECT FROM changes l WHERE l.record_id = c.record_id AND l.seq_partner > c.seq_partner)
     ORDER BY c.seq_partner DESC LIMIT most;
$$;
REVOKE EXECUTE ON FUNCTION unconfirmed_withdrawals(varchar[], bigint, integer, varchar) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION unconfirmed_withdrawals(varchar[], bigint, integer, varchar) TO {WRITERS};
"""


def run(sql: str) -> None:
    """Run a script of several statements as it is; the driver's prepared statements take only one."""
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.run_async(lambda driver: driver.execute(sql))


def upgrade() -> None:
    """Make the function anew."""
    run(UNCONFIRMED)


def downgrade() -> None:
    """Make it as revision 0002 made it."""
    path = next(Path(__file__).parent.glob("*_0002_*.py"))
    spec = importlib.util.spec_from_file_location("revision_0002", path)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 -- a file beside this one
    feed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(feed)
    run(
        "DROP FUNCTION unconfirmed_withdrawals(varchar[], bigint, integer, varchar);"
        + feed.ACK[feed.ACK.index("CREATE FUNCTION unconfirmed_withdrawals") :]
        + "REVOKE EXECUTE ON FUNCTION unconfirmed_withdrawals(varchar[], bigint, integer) FROM PUBLIC;"
        + f"GRANT EXECUTE ON FUNCTION unconfirmed_withdrawals(varchar[], bigint, integer) TO {WRITERS};"
    )
