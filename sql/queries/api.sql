-- What the canonical API asks, inside a transaction that carries the caller's session: row level security decides what it finds.

-- name: begin(limit_ms, read_only)^
-- Whose session this is (NULL: nobody's), with the rights as they are now, and the time of the answer. Bounds what follows.
SELECT session_user_id() AS user_id, session_user_name() AS name, session_roles() AS roles, session_units() AS units, business_now() AS as_of,
       set_config('statement_timeout', :limit_ms::text, true), set_config('transaction_read_only', :read_only::text, true);

-- name: begin_unasked(limit_ms)!
-- Bounds a question nobody has to be known for.
SELECT set_config('statement_timeout', :limit_ms::text, true), set_config('transaction_read_only', 'on', true);

-- name: documents_called(document_type, text, prefix, document_id)
-- Documents of one type by any number of any system: whole, without the year after the slash, or an invoice by its supplier's
-- own number or by the accounting document that books it. :text in lower case, :prefix with what comes before the year. At most 21.
WITH named AS (
    SELECT document_id FROM document_identifier WHERE external_key = :text
    UNION SELECT document_id FROM document_identifier WHERE external_key ^@ :prefix AND kind <> 'invoice_number'
    UNION SELECT document_id FROM document_identifier WHERE reference_key = :text
    UNION SELECT document_id FROM document WHERE number_key = :text
    UNION SELECT document_id FROM document WHERE document_id = :document_id::uuid
), meant AS (
    SELECT document_id FROM named
    UNION SELECT l.to_document_id FROM named n JOIN document_link l ON l.from_document_id = n.document_id AND l.relation = 'books'
)
SELECT d.document_id, d.document_type, d.number, d.business_unit, d.company_code, d.state, d.approval_status, d.posting_status, d.state_since, d.version,
       d.payload_version, d.currency, d.amount, d.supplier_name, d.due_on, d.updated_at,
       p.canonical::text AS canonical, p.mapping_version, encode(p.payload_hash, 'hex') AS payload_hash
  FROM meant m
  JOIN document d USING (document_id)
  LEFT JOIN document_payload p ON p.document_id = d.document_id AND p.payload_version = d.payload_version
 WHERE d.document_type = :document_type
 ORDER BY d.number, d.document_id LIMIT 21;

-- name: blocks_of(document_id)
-- Open exceptions that stop a document, oldest first.
SELECT code, system, message, raised_at FROM exception_case
 WHERE document_id = :document_id AND closed_at IS NULL AND blocks ORDER BY raised_at, case_id;

-- name: cleared_on(document_id)$
-- The day an invoice was paid, as the ledger's clearing says; no row before.
SELECT (attributes->>'cleared_on')::date FROM event
 WHERE document_id = :document_id AND activity = 'payment_cleared' ORDER BY seq DESC LIMIT 1;

-- name: publish(most)$
-- Give committed recordings their place in the stream; answers how many.
SELECT publish_recordings(:most::int);

-- name: published(after, recordings)^
-- The last position of the stream, and the last one of so many recordings after :after (:after itself when there are none).
SELECT coalesce((SELECT position FROM recording WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1), 0) AS newest,
       coalesce((SELECT max(position) FROM (SELECT position FROM recording WHERE position > :after ORDER BY position LIMIT :recordings) r), :after) AS until;

-- name: events_after(after, until, moves, limit)
-- State changes above :after in recordings up to :until that the session may see, in the order of the stream. :moves holds
-- "<document type>.<activity>" of everything that moves a document; its first event has no state before it.
SELECT r.position - r.event_count + e.ordinal + 1 AS position, e.recording_id, e.ordinal, e.document_id, e.document_type, e.correlation_id, e.activity,
       e.event_at, e.recorded_at, e.seq, e.business_unit, e.state_from, e.state_to, e.approval_status, e.posting_status, e.document_version, d.number
  FROM recording r
  JOIN event e ON e.recording_id = r.recording_id AND e.recorded_at = r.recorded_at
  JOIN document d ON d.document_id = e.document_id
 WHERE r.position > :after AND r.position <= :until AND r.position - r.event_count + e.ordinal + 1 > :after
   AND e.source = 'finsync' AND (e.state_from IS NULL OR e.document_type || '.' || e.activity = ANY (:moves::text[]))
 ORDER BY r.position, e.ordinal LIMIT :limit;

-- name: suppliers(system, external_id)
-- What any unit may know of these suppliers of procurement.
SELECT external_id, state, name, erp_number, payment_term FROM supplier_standing(:system, :external_id::text[]);

-- name: requisitions_alike(business_unit, currency, amount, submitted_at, days)
-- Requisitions of a unit over the same amount in the days before, still alive.
SELECT p.canonical::text AS canonical
  FROM document o
  JOIN document_payload p ON p.document_id = o.document_id AND p.payload_version = o.payload_version
 WHERE o.document_type = 'requisition' AND o.business_unit = :business_unit AND o.currency = :currency AND o.amount = :amount::numeric
   AND o.submitted_at BETWEEN :submitted_at::timestamptz - make_interval(days => :days::int) AND :submitted_at
   AND o.state NOT IN ('rejected', 'cancelled')
 ORDER BY o.submitted_at LIMIT 100;

-- name: budgets_of(cost_centre, number)
-- The newest budget of each cost centre with what is reserved against it, leaving out what requisition :number has itself reserved.
SELECT DISTINCT ON (b.cost_centre) b.cost_centre, b.period, b.currency, b.amount, b.read_at,
       b.opening_used + coalesce((
           SELECT sum(r.amount) FROM budget_reservation r
            WHERE r.cost_centre = b.cost_centre AND r.period = b.period AND r.released_at IS NULL
              AND NOT EXISTS (SELECT 1 FROM document d WHERE d.document_id = r.document_id AND d.document_type = 'requisition' AND lower(d.number) = lower(:number))), 0) AS reserved
  FROM budget b
 WHERE b.cost_centre = ANY (:cost_centre::text[])
 ORDER BY b.cost_centre, b.read_at DESC;

-- name: newest_engine_age_s()$
-- Seconds since any engine at work was last heard of; NULL when none ever was.
SELECT extract(epoch FROM clock_timestamp() - max(last_seen_at))::double precision FROM engine_instance WHERE stopped_at IS NULL;

-- name: operating_figures()
-- How the machinery stands, without any document in it.
SELECT figure, about, detail, value FROM operating_figures() ORDER BY 1, 2, 3;

-- name: note_hint(system, hint_id, sent_at, body_hash, window_s)$
-- Keep a system's hint that it has news and let its feeds be read; 'new', 'known', or 'stale' when it is not of now.
SELECT note_hint(:system, :hint_id, :sent_at::timestamptz, :body_hash::bytea, :window_s);
