-- Retention, and what keeps the engine as fast beside ten million finished items as beside none.
-- What is removed when its time is over, and nothing else. The engine owns nothing and may delete nothing; it asks
-- these functions, which take away whole months of what only grows and finished work, never an event, a name, a key or a
-- document. Each has a shortest time of its own that no configuration can go below.

-- A month of `parent`, in UTC.
CREATE FUNCTION month_of(moment timestamptz) RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$ SELECT date_trunc('month', moment AT TIME ZONE 'UTC')::date $$;

-- The months that have a partition, with about how many rows (as last analysed) and bytes; and those whose rows lie in the
-- default partition because nobody had made one in time.
CREATE FUNCTION retained_months() RETURNS TABLE (of_table text, of_month date, in_default boolean, about_rows bigint, size_bytes bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    parent text;
    at     text;
BEGIN
    RETURN QUERY
    SELECT p.relname::text, to_date(right(c.relname, 6), 'YYYYMM'), false, greatest(c.reltuples, 0)::bigint, pg_total_relation_size(c.oid)
      FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_class c ON c.oid = i.inhrelid
     WHERE p.relnamespace = current_schema()::regnamespace AND p.relkind = 'p' AND c.relname ~ '_[0-9]{6}$';
    FOREACH parent IN ARRAY ARRAY['event', 'event_object', 'inbound_message', 'attempt', 'attempt_body']
    LOOP
        at := CASE parent WHEN 'inbound_message' THEN 'received_at' ELSE 'recorded_at' END;
        RETURN QUERY EXECUTE format('SELECT %L::text, month_of(%I), true, count(*), NULL::bigint FROM %I GROUP BY 2', parent, at, parent || '_default');
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION retained_months() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retained_months() TO finsync_engine;

-- Gives a month whose rows lie in the default partition its own partition, with those rows; answers how many they are, or -1 when
-- others hold the table longer than this may wait. Rows neither appear twice nor disappear for anybody meanwhile. The documents'
-- reference to their newest event is taken off for the move, since it would take the move for a removal; afterwards it holds for
-- everything new at once, and `confirm_events` checks what was there before.
CREATE FUNCTION settle_default_month(parent text, month date) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
SET lock_timeout = '3s'
AS $$
DECLARE
    moment     text := CASE parent WHEN 'inbound_message' THEN 'received_at' ELSE 'recorded_at' END;
    partition  text := parent || to_char(month, '_YYYYMM');
    begins_at  timestamptz := month::timestamp AT TIME ZONE 'UTC';
    ends_at    timestamptz := (month + interval '1 month')::timestamp AT TIME ZONE 'UTC';
    moved      bigint;
BEGIN
    IF parent NOT IN ('event', 'event_object', 'inbound_message', 'attempt', 'attempt_body') OR month <> date_trunc('month', month)::date THEN
        RAISE EXCEPTION 'no month of a partitioned table: % %', parent, month;
    END IF;
    IF to_regclass(format('%I', partition)) IS NOT NULL THEN
        RETURN 0;
    END IF;
    IF parent = 'event' THEN
        LOCK TABLE document IN ACCESS EXCLUSIVE MODE;
        ALTER TABLE document DROP CONSTRAINT every_state_has_its_event;
    END IF;
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', parent || '_default');
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', partition, parent);
    EXECUTE format('INSERT INTO %I SELECT * FROM %I WHERE %I >= $1 AND %I < $2', partition, parent || '_default', moment, moment) USING begins_at, ends_at;
    GET DIAGNOSTICS moved = ROW_COUNT;
    EXECUTE format('DELETE FROM %I WHERE %I >= $1 AND %I < $2', parent || '_default', moment, moment) USING begins_at, ends_at;
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, partition, begins_at, ends_at);
    IF parent = 'event' THEN
        ALTER TABLE document ADD CONSTRAINT every_state_has_its_event FOREIGN KEY (document_id, last_event_seq, last_event_at)
            REFERENCES event (document_id, seq, recorded_at) DEFERRABLE INITIALLY DEFERRED NOT VALID;
    END IF;
    RETURN moved;
EXCEPTION
    WHEN lock_not_available THEN RETURN -1;
END $$;
REVOKE ALL ON FUNCTION settle_default_month(text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION settle_default_month(text, date) TO finsync_engine;

-- Checks that every document still has its newest event, where a move has left that open; answers whether there was anything to
-- check. Documents go on being written meanwhile.
CREATE FUNCTION confirm_events() RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conrelid = 'document'::regclass AND conname = 'every_state_has_its_event' AND NOT convalidated) THEN
        RETURN false;
    END IF;
    ALTER TABLE document VALIDATE CONSTRAINT every_state_has_its_event;
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION confirm_events() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION confirm_events() TO finsync_engine;

-- Takes away a whole month of calls, of what was said in them, or of messages. Answers what came of it: dropped, held (rows in it
-- are about documents or business units under legal hold), absent, or busy (others hold the table longer than this may wait).
CREATE FUNCTION drop_month(parent text, month date, held_documents uuid[], held_units text[]) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
SET lock_timeout = '3s'
AS $$
DECLARE
    partition text := parent || to_char(month, '_YYYYMM');
    shortest  interval := CASE parent WHEN 'attempt_body' THEN interval '7 days' WHEN 'attempt' THEN interval '30 days'
                                      WHEN 'inbound_message' THEN interval '365 days' END;
    is_held   boolean;
BEGIN
    IF shortest IS NULL THEN
        RAISE EXCEPTION '% is kept for ever', parent;
    END IF;
    IF (month + interval '1 month')::timestamp AT TIME ZONE 'UTC' > clock_timestamp() - shortest THEN
        RAISE EXCEPTION '% of % is not old enough: % are kept at least', parent, month, shortest;
    END IF;
    IF to_regclass(format('%I', partition)) IS NULL THEN
        RETURN 'absent';
    END IF;
    IF cardinality(held_documents) + cardinality(held_units) > 0 THEN
        PERFORM set_config('finsync.own_function', 'on', true);
        EXECUTE format(CASE parent
            WHEN 'inbound_message' THEN 'SELECT EXISTS (SELECT 1 FROM inbound_disposition d JOIN %I m USING (message_id)
                WHERE d.document_id = ANY ($1) OR d.business_unit = ANY ($2))'
            WHEN 'attempt_body' THEN 'SELECT EXISTS (SELECT 1 FROM %I b LEFT JOIN attempt a ON a.attempt_id = b.attempt_id AND a.recorded_at = b.recorded_at
                WHERE a.document_id = ANY ($1) OR b.business_unit = ANY ($2))'
            ELSE 'SELECT EXISTS (SELECT 1 FROM %I WHERE document_id = ANY ($1) OR business_unit = ANY ($2))' END, partition)
           INTO is_held USING held_documents, held_units;
        PERFORM set_config('finsync.own_function', '', true);
    END IF;
    IF is_held THEN
        RETURN 'held';
    END IF;
    EXECUTE format('DROP TABLE %I', partition);
    RETURN 'dropped';
EXCEPTION
    WHEN lock_not_available THEN RETURN 'busy';
END $$;
REVOKE ALL ON FUNCTION drop_month(text, date, uuid[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drop_month(text, date, uuid[], text[]) TO finsync_engine;

-- The owner, whom FORCE binds, sees what it has to weigh and removes finished work, only while one of its own functions runs.
CREATE POLICY owners_functions_see_all ON inbound_disposition FOR SELECT TO CURRENT_USER
    USING (current_setting('finsync.own_function', true) = 'on');
CREATE POLICY owners_functions_see_all ON redrive_item FOR SELECT TO CURRENT_USER
    USING (current_setting('finsync.own_function', true) = 'on');
CREATE POLICY owners_function_removes_finished ON work_item FOR DELETE TO CURRENT_USER
    USING (current_setting('finsync.own_function', true) = 'on' AND finished_at IS NOT NULL);

-- Looks at the next `most` work items after `after` in the order of their ids, which is the order of their creation, and removes
-- those that ended before `before`, as did their documents, with nothing open about them: no exception, no reprocessing, no legal
-- hold. Answers how many of them are over, the last id looked at, and whether there may be more. With `only_look` nothing is
-- removed. Intents stay, so that whatever comes back finds that it has been sent.
CREATE FUNCTION retire_work(after uuid, before timestamptz, most integer, held_documents uuid[], held_units text[], only_look boolean)
RETURNS TABLE (retired bigint, last_id uuid, is_end boolean)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    IF before > clock_timestamp() - interval '30 days' THEN
        RAISE EXCEPTION 'finished work is kept for 30 days at least';
    END IF;
    PERFORM set_config('finsync.own_function', 'on', true);
    RETURN QUERY
    WITH looked_at AS MATERIALIZED (
        SELECT w.work_item_id, w.document_id, w.subject_id, w.business_unit, w.created_at, w.finished_at FROM work_item w
         WHERE w.work_item_id > after ORDER BY w.work_item_id LIMIT most
    ), over AS MATERIALIZED (
        SELECT l.work_item_id FROM looked_at l JOIN document d ON d.document_id = l.document_id
         WHERE l.finished_at < before AND d.closed_at < before
           AND NOT l.document_id = ANY (held_documents) AND NOT l.business_unit = ANY (held_units) AND NOT d.business_unit = ANY (held_units)
           AND NOT EXISTS (SELECT 1 FROM exception_case c WHERE c.document_id = l.document_id AND c.closed_at IS NULL)
           AND NOT EXISTS (SELECT 1 FROM redrive_item r WHERE r.work_item_id = l.work_item_id AND r.status IN ('queued', 'sent', 'accepted'))
    ), removed AS (
        DELETE FROM work_item w WHERE NOT only_look AND w.finished_at < before AND w.work_item_id = ANY (ARRAY(SELECT o.work_item_id FROM over o))
        RETURNING w.work_item_id
    )
    SELECT CASE WHEN only_look THEN (SELECT count(*) FROM over) ELSE (SELECT count(*) FROM removed) END,
           (SELECT l.work_item_id FROM looked_at l ORDER BY l.work_item_id DESC LIMIT 1),
           (SELECT count(*) < most OR min(l.created_at) >= before FROM looked_at l);
    PERFORM set_config('finsync.own_function', '', true);
END $$;
REVOKE ALL ON FUNCTION retire_work(uuid, timestamptz, integer, uuid[], text[], boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retire_work(uuid, timestamptz, integer, uuid[], text[], boolean) TO finsync_engine;

-- A key is a hash, so by itself each new one falls on another page of its index: with millions of them that is a page to read and a
-- page image to log for every call. A document's keys lie together, and documents lie in the order of their time. A key holds its
-- document's id, so it is as unique with it as without.
ALTER TABLE intent DROP CONSTRAINT intent_pkey, ADD CONSTRAINT intent_pkey PRIMARY KEY (document_id, idempotency_key);
DROP INDEX intent_of_document;
