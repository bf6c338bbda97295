-- Webhooks as hints: a system says that it has news, and its feeds are read at once. What the news is, the feed tells.

-- Every hint that was ever acknowledged, by the sender's own id: kept for ever, because senders repeat for days.
CREATE TABLE webhook_hint (
    system      text        NOT NULL,
    hint_id     text        NOT NULL CHECK (length(hint_id) BETWEEN 1 AND 255),
    sent_at     timestamptz NOT NULL,           -- by the sender's clock
    received_at timestamptz NOT NULL,
    body_hash   bytea       NOT NULL,
    PRIMARY KEY (system, hint_id)
);

-- Keep a hint and let the feeds of its system be read now, unless they are failing and wait for their turn. Answers 'new', 'known',
-- or 'stale' when it was sent too long before or after the present (Standard Webhooks: a replay window; the id alone is for ever).
CREATE FUNCTION note_hint(of_system text, of_hint text, sent timestamptz, hash bytea, window_s integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    moment timestamptz := clock_timestamp();
BEGIN
    IF abs(extract(epoch FROM moment - sent)) > window_s THEN
        RETURN 'stale';
    END IF;
    INSERT INTO webhook_hint (system, hint_id, sent_at, received_at, body_hash) VALUES (of_system, of_hint, sent, moment, hash)
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN 'known';
    END IF;
    UPDATE feed_state SET due_at = moment WHERE system = of_system AND due_at > moment AND consecutive_failures = 0;
    RETURN 'new';
END $$;
REVOKE ALL ON FUNCTION note_hint(text, text, timestamptz, bytea, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION note_hint(text, text, timestamptz, bytea, integer) TO finsync_app;
GRANT SELECT ON webhook_hint TO finsync_engine;
