-- What the page on the exception rate asks beside the rate itself: what an exception goes with.

-- name: attributes(units, since, until, document_types, categories, fewest, most)
-- Documents that entered in the period by each value of their attributes (unit, type, supplier, requester, amount): how many, how many
-- of them met an exception, and the same over everything; values of :fewest documents at least, the :most that would spare most
-- exceptions at the rate of all others. goes_with: other such values that mean nearly the same documents (more than 80 % of
-- the smaller one are in the larger), so that neither can be named the cause alone.
WITH d AS MATERIALIZED (
    SELECT d.document_id, d.business_unit, d.document_type, d.supplier_name, d.requester,
           CASE WHEN d.group_amount < 1000 THEN 'under 1,000' WHEN d.group_amount < 10000 THEN '1,000 to 10,000'
                WHEN d.group_amount < 100000 THEN '10,000 to 100,000' WHEN d.group_amount >= 100000 THEN '100,000 and more' END AS amount,
           EXISTS (SELECT FROM exception_case x WHERE x.document_id = d.document_id AND (:categories::text[] IS NULL OR x.category = ANY (:categories::text[]))) AS met
      FROM document d
     WHERE d.document_type = ANY (:document_types::text[]) AND d.submitted_at >= :since AND d.submitted_at < :until AND NOT d.is_test
       AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[]))
), every AS (
    SELECT count(*) AS entered, count(*) FILTER (WHERE met) AS met FROM d
), valued AS MATERIALIZED (
    SELECT d.document_id, d.met, v.attribute, v.value
      FROM d CROSS JOIN LATERAL (VALUES ('unit', d.business_unit), ('type', d.document_type), ('supplier', d.supplier_name), ('requester', d.requester), ('amount', d.amount)) AS v(attribute, value)
     WHERE v.value <> ''
), counted AS MATERIALIZED (
    SELECT v.attribute, v.value, count(*) AS entered, count(*) FILTER (WHERE v.met) AS with_exception, e.entered AS all_entered, e.met AS all_with_exception
      FROM valued v CROSS JOIN every e
     GROUP BY v.attribute, v.value, e.entered, e.met
    HAVING count(*) >= :fewest AND count(*) < e.entered AND count(*) FILTER (WHERE v.met) > 0
     ORDER BY count(*) FILTER (WHERE v.met) - count(*) * (e.met - count(*) FILTER (WHERE v.met))::float8 / (e.entered - count(*)) DESC, v.attribute, v.value
     LIMIT :most
), shared AS (
    SELECT a.attribute, a.value, array_agg(b.attribute || ' ' || b.value ORDER BY b.attribute, b.value) AS goes_with
      FROM (SELECT x.attribute, x.value, y.attribute AS other_attribute, y.value AS other_value, count(*) AS n
              FROM (SELECT v.* FROM valued v JOIN counted c USING (attribute, value)) x
              JOIN (SELECT v.* FROM valued v JOIN counted c USING (attribute, value)) y USING (document_id)
             WHERE x.attribute <> y.attribute
             GROUP BY 1, 2, 3, 4) both_of_them
      JOIN counted a USING (attribute, value)
      JOIN counted b ON b.attribute = other_attribute AND b.value = other_value
     WHERE n > 0.8 * least(a.entered, b.entered) AND greatest(a.entered, b.entered) <= 0.8 * a.all_entered
     GROUP BY a.attribute, a.value
)
SELECT c.attribute, c.value, c.entered, c.with_exception, c.all_entered, c.all_with_exception, coalesce(s.goes_with, '{}') AS goes_with
  FROM counted c LEFT JOIN shared s USING (attribute, value);
