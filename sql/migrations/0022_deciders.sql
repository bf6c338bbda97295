-- Who decided is told to those who manage approvers and those who audit them; everybody else is told the role that was asked. One rule,
-- for every page and every question: these functions are asked wherever a statement would name somebody who decided. (Whom a document
-- waits for now is another matter: somebody has to remind them.)
CREATE FUNCTION names_deciders() RETURNS boolean
LANGUAGE sql STABLE PARALLEL RESTRICTED
SET search_path FROM CURRENT
AS $$ SELECT session_roles() && ARRAY['finance_leader', 'auditor'] $$;

-- The events in which approvers decide.
CREATE FUNCTION is_decision(activity text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT activity IN ('approval_completed', 'approval_refused', 'approval_granted', 'approval_denied', 'procurement_rejected', 'review_approved', 'review_refused', 'change_approved', 'change_refused_by_approver', 'approval_contradicted') $$;

-- Somebody who decided, as an event says it ("user (group)", "user (tool)", or the tool's name): whole, or the group or tool alone.
CREATE FUNCTION decider(said text) RETURNS text
LANGUAGE sql STABLE PARALLEL RESTRICTED
SET search_path FROM CURRENT
AS $$ SELECT CASE WHEN names_deciders() OR said = '' OR said IN (SELECT system FROM system_state) THEN said ELSE CASE WHEN substring(said FROM '\(([^()]*)\)$') IN (SELECT system FROM system_state) THEN 'an approver (' || substring(said FROM '\(([^()]*)\)$') || ')'
                      ELSE coalesce(substring(said FROM '\(([^()]*)\)$'), 'an approver') END END $$;

-- What an event of a decision says beside who took it: the names in it, or the groups alone.
CREATE FUNCTION said_of_decision(attributes jsonb) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL RESTRICTED
SET search_path FROM CURRENT
AS $$
    SELECT CASE WHEN names_deciders() THEN attributes
                ELSE attributes
                     || CASE WHEN attributes ? 'approved_by' THEN jsonb_build_object('approved_by', (SELECT jsonb_agg(decider(who) ORDER BY n) FROM jsonb_array_elements_text(attributes->'approved_by') WITH ORDINALITY AS w(who, n))) ELSE '{}' END
                     || CASE WHEN attributes ? 'reason' THEN jsonb_build_object('reason', regexp_replace(attributes->>'reason', '^[^:()]* \(([^()]*)\): ', '\1: ')) ELSE '{}' END END
$$;
