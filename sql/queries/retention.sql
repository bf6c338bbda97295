-- What is kept and what is removed when its time is over. The removing itself is done by functions of the database, which know
-- what may never be removed.

-- name: retained_months()
-- The months of each partitioned table: of_table, of_month, in_default (they lie in the default partition), about_rows, size_bytes.
SELECT of_table, of_month, in_default, about_rows, size_bytes FROM retained_months() ORDER BY of_month, of_table;

-- name: held_documents(names)
-- The documents of the journeys of those that are called by these names in any system; a name nobody knows has no document.
SELECT n.name, j.document_id
  FROM unnest(:names::text[]) AS n(name)
  LEFT JOIN LATERAL (
       SELECT d.document_id FROM document d
        WHERE d.correlation_id IN (
              SELECT k.correlation_id FROM document k WHERE k.number_key = lower(n.name)
              UNION
              SELECT k.correlation_id FROM document_identifier i JOIN document k ON k.document_id = i.document_id
               WHERE i.external_key = lower(n.name))) j ON true;

-- name: unknown_units(units)
-- Those of the business units that there are none of.
SELECT u.code FROM unnest(:units::text[]) AS u(code) WHERE NOT EXISTS (SELECT 1 FROM business_unit b WHERE b.code = u.code);

-- name: settle_default_month(of_table, of_month)$
-- Give a month in the default partition its own; answers how many rows moved, -1 when the table is busy.
SELECT settle_default_month(:of_table::text, :of_month::date);

-- name: confirm_events()$
-- After such a move: check what was not checked during it; answers whether there was anything.
SELECT confirm_events();

-- name: drop_month(of_table, of_month, held_documents, held_units)$
-- Remove a whole month; answers dropped, held, absent or busy.
SELECT drop_month(:of_table::text, :of_month::date, :held_documents::uuid[], :held_units::text[]);

-- name: retire_work(after, before, most, held_documents, held_units, only_look)^
-- Remove finished work among the next items after an id, or only count it: retired, last_id, is_end.
SELECT retired, last_id, is_end
  FROM retire_work(:after::uuid, :before::timestamptz, :most::int, :held_documents::uuid[], :held_units::text[], :only_look::boolean);
