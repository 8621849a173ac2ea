-- What the statistics read without touching the tables themselves. The level comes first: each audience reads one
-- stretch of an index. Dates, towns and types repeat, so an entry takes a few bytes; what is only carried along
-- (INCLUDE) could not be kept so.
CREATE INDEX events_counted ON events (effective_level, date_earliest, date_latest, place_id, type);
CREATE INDEX statuses_counted ON statuses
    (effective_level, kind, person_id, start_earliest, start_latest, end_earliest, end_latest, "end")
    WHERE person_id IS NOT NULL;

-- Most dates are of one day; without knowing that, PostgreSQL expects as many groups as there are pairs of days.
CREATE STATISTICS events_dates (ndistinct) ON date_earliest, date_latest FROM events;
CREATE STATISTICS cases_dates (ndistinct) ON decided_earliest, decided_latest FROM cases;
