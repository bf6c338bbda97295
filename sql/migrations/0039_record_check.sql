-- What every comparison of the whole record with itself came to: how many events the recordings say they hold, how many are there, and how
-- many recordings and histories do not agree. One row per comparison; like the recordings themselves it
-- tells nothing of any document.
CREATE TABLE record_check (
    checked_at   timestamptz PRIMARY KEY,
    recordings   bigint      NOT NULL,
    events_said  bigint      NOT NULL,
    events_there bigint      NOT NULL,
    differing    bigint      NOT NULL,
    gaps         bigint      NOT NULL
);
GRANT SELECT, INSERT ON record_check TO finsync_engine;
GRANT SELECT ON record_check TO finsync_app;

-- Whoever counts a period again has to know which events are not missed. Why a log was forgotten, and by whom, stays with the engine.
GRANT SELECT (recording_id) ON forgotten_recording TO finsync_app;
