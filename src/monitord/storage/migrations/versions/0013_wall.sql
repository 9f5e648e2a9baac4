-- The second wall between tenants (T9). What a caller's request does here runs under a role that owns nothing and is let
-- see and write the rows of one organisation: that of `monitord.org_id`, which its session takes from who is calling, not
-- from the statement. The first wall, the organisation in every WHERE, stands as before.
--
-- Not FORCE: the engine checks for all organisations, and writes the log by COPY, which knows no policies. Its user owns
-- the tables. What the role may do to which table stands in storage/wall.py, as the role may be made later than this.

-- Where nothing is set, an error: never all rows.
CREATE FUNCTION tenant_org_id() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT current_setting('monitord.org_id')::bigint
$$;
CREATE FUNCTION tenant_user_id() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT current_setting('monitord.user_id')::bigint
$$;
GRANT EXECUTE ON FUNCTION tenant_org_id(), tenant_user_id() TO PUBLIC;

-- As subqueries they are asked once for each statement, not for each row.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'alert_attempts', 'alert_contacts', 'alerts', 'audit_events', 'certificate_notices', 'contact_confirmations',
        'heartbeat_pings', 'heartbeats', 'incident_events', 'incidents', 'maintenance_windows', 'monitor_alert_configs',
        'monitor_purges', 'monitor_schedules', 'monitor_states', 'monitor_transitions', 'monitors', 'request_ids'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant ON %I USING (org_id = (SELECT tenant_org_id()))', name);
    END LOOP;
END $$;

-- Of each row, and not, as an equation with the statement's own organisation becomes, of each partition beforehand: with
-- forty of them that doubles the time of a query for one row. A partition has no policy, and nobody has rights to it.
ALTER TABLE monitor_logs ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON monitor_logs USING (org_id IS NOT DISTINCT FROM (SELECT tenant_org_id()));
ALTER TABLE check_evidence ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON check_evidence USING (org_id IS NOT DISTINCT FROM (SELECT tenant_org_id()));

ALTER TABLE organisations ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON organisations USING (id = (SELECT tenant_org_id()));

-- Keys, sessions and what people say of themselves are each one's own; names are seen within the organisation.
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON api_keys
    USING (org_id = (SELECT tenant_org_id()) AND user_id = (SELECT tenant_user_id()));
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sessions USING (user_id = (SELECT tenant_user_id()));
ALTER TABLE user_profile ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON user_profile USING (user_id = (SELECT tenant_user_id()));
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON users USING (id = (SELECT tenant_user_id()));
CREATE POLICY colleagues ON users FOR SELECT USING (org_id = (SELECT tenant_org_id()));

-- It belongs to nobody yet: no policy, so nobody but the owner reaches it.
ALTER TABLE address_proofs ENABLE ROW LEVEL SECURITY;

-- What triggers write is true whoever caused it: they write as the owner, so that nobody else needs the right to. They find
-- their tables whatever the session's path is; and nobody else makes a trigger of them.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['record_audit_event', 'record_incident_event', 'record_sign_in'] LOOP
        EXECUTE format(
            'ALTER FUNCTION %I() SECURITY DEFINER SET search_path = pg_catalog, %I, pg_temp', name, current_schema());
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %I() FROM PUBLIC', name);
    END LOOP;
END $$;
