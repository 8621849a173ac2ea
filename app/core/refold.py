"""Folds the names that are stored anew when the fold has changed: at the end of `chronika db upgrade`."""

import json
from typing import Any

from app.core.fold import VERSION, fold

NAME_TABLES = ("person_names", "organisation_names", "place_names")
AT_ONCE = 5000


async def fold_names(connection: Any) -> int:
    """Bring all folded names to this version of the fold and return how many changed; run as the owner of the schema.

    The folded text is no content: the change log and the versions of the records stay as they are.
    """
    changed = 0
    async with connection.transaction():
        await connection.execute("SET LOCAL ROLE chronika_owner")
        if await connection.fetchval("SELECT EXISTS (SELECT FROM name_fold WHERE version = $1)", VERSION):
            return 0
        for table in NAME_TABLES:
            await connection.execute(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
            last = "00000000-0000-0000-0000-000000000000"
            sql = f"SELECT id, text, folded FROM {table} WHERE id > $1 ORDER BY id LIMIT {AT_ONCE}"  # noqa: S608
            while rows := await connection.fetch(sql, last):
                last = rows[-1]["id"]
                fresh = [{"id": str(r["id"]), "folded": f} for r in rows if (f := fold(r["text"])) != r["folded"]]
                changed += len(fresh)
                await connection.execute(
                    f"UPDATE {table} t SET folded = n.folded "  # noqa: S608
                    "FROM jsonb_to_recordset($1::jsonb) AS n (id uuid, folded varchar) WHERE t.id = n.id",
                    json.dumps(fresh),
                )
        await connection.execute("DELETE FROM name_fold")
        await connection.execute("INSERT INTO name_fold (version) VALUES ($1)", VERSION)
    return changed
