-- Who changed what, when, from where, and what it was before: written by triggers in the transaction of the change, so
-- that no way of changing something can forget it. `monitord.actor` is set by each transaction of a call; without it
-- monitord itself did it.
CREATE TABLE audit_events (
    org_id      bigint NOT NULL,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    user_id     bigint,
    credential  text NOT NULL DEFAULT '',
    address     text NOT NULL DEFAULT '',
    method      text NOT NULL DEFAULT '',
    action      text NOT NULL,
    kind        text NOT NULL,
    thing_id    text NOT NULL,
    before      jsonb,
    after       jsonb,
    PRIMARY KEY (org_id, id)
);
CREATE INDEX audit_events_at ON audit_events (at);

CREATE FUNCTION keep_audit_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('monitord.retires_audit_events', true) = 'on' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'audit events are written once, and never changed';
END $$;
CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION keep_audit_events();

CREATE FUNCTION add_audit_event(org_id bigint, action text, kind text, thing_id text, before jsonb, after jsonb)
RETURNS void LANGUAGE sql AS $$
    INSERT INTO audit_events (org_id, user_id, credential, address, method, action, kind, thing_id, before, after)
    SELECT $1, (a ->> 'user_id')::bigint, COALESCE(a ->> 'credential', ''), COALESCE(a ->> 'address', ''),
           COALESCE(a ->> 'method', ''), $2, $3, $4, $5, $6
    FROM (SELECT NULLIF(current_setting('monitord.actor', true), '')::jsonb) AS actor (a)
$$;

-- Arguments: what the thing is called; columns that are secret, of which only a change is told; columns that don't matter.
CREATE FUNCTION record_audit_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    hidden  text[] := TG_ARGV[1]::text[];
    noise   text[] := TG_ARGV[2]::text[];
    was     jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) - noise END;
    now_is  jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) - noise END;
    thing   jsonb := COALESCE(now_is, was);
    action  text := CASE TG_OP WHEN 'INSERT' THEN 'created' WHEN 'DELETE' THEN 'deleted' ELSE 'changed' END;
    name    text;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        FOR name IN SELECT key FROM jsonb_each(now_is) WHERE was -> key IS NOT DISTINCT FROM value LOOP
            was := was - name;
            now_is := now_is - name;
        END LOOP;
        -- What is made is sealed in a second step, since the seal is bound to the id.
        IF now_is = '{}' OR (now_is - hidden = '{}' AND to_jsonb(NEW) ->> 'updated_at' = to_jsonb(NEW) ->> 'created_at') THEN
            RETURN NULL;
        END IF;
        IF now_is ->> 'deleted_at' IS NOT NULL OR now_is ->> 'revoked_at' IS NOT NULL THEN
            action := 'deleted';
        END IF;
    END IF;
    FOREACH name IN ARRAY hidden LOOP
        IF was -> name <> 'null' THEN
            was := jsonb_set(was, ARRAY[name], '"***"');
        END IF;
        IF now_is -> name <> 'null' THEN
            now_is := jsonb_set(now_is, ARRAY[name], '"***"');
        END IF;
    END LOOP;
    PERFORM add_audit_event(
        (thing ->> 'org_id')::bigint, action, TG_ARGV[0],
        COALESCE(thing ->> 'id', concat_ws('/', thing ->> 'monitor_id', thing ->> 'contact_id')), was, now_is);
    RETURN NULL;
END $$;

CREATE TRIGGER monitors_audit AFTER INSERT OR UPDATE OR DELETE ON monitors
    FOR EACH ROW EXECUTE FUNCTION record_audit_event('monitor', '{secrets}', '{updated_at,version}');
CREATE TRIGGER alert_contacts_audit AFTER INSERT OR UPDATE OR DELETE ON alert_contacts
    FOR EACH ROW EXECUTE FUNCTION record_audit_event('contact', '{secrets}', '{updated_at,version}');
CREATE TRIGGER monitor_alert_configs_audit AFTER INSERT OR UPDATE OR DELETE ON monitor_alert_configs
    FOR EACH ROW EXECUTE FUNCTION record_audit_event('alert_config', '{}', '{slow_since}');
CREATE TRIGGER maintenance_windows_audit AFTER INSERT OR UPDATE OR DELETE ON maintenance_windows
    FOR EACH ROW EXECUTE FUNCTION record_audit_event('maintenance_window', '{}', '{updated_at,version}');
CREATE TRIGGER api_keys_audit AFTER INSERT OR UPDATE OR DELETE ON api_keys
    FOR EACH ROW EXECUTE FUNCTION record_audit_event('api_key', '{secret_hash}', '{last_used_at}');
CREATE TRIGGER users_audit AFTER INSERT OR UPDATE OR DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION record_audit_event('user', '{password_hash}', '{updated_at,session_version}');
CREATE TRIGGER incidents_audit AFTER UPDATE OF acknowledged_at ON incidents
    FOR EACH ROW WHEN (OLD.acknowledged_at IS NULL AND NEW.acknowledged_at IS NOT NULL)
    EXECUTE FUNCTION record_audit_event('incident', '{}', '{}');

CREATE FUNCTION record_sign_in() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    owner  record;
    what   text := CASE WHEN TG_OP = 'INSERT' THEN 'signed_in' ELSE 'signed_out' END;
BEGIN
    SELECT u.org_id, u.id, u.email INTO owner FROM users AS u WHERE u.id = NEW.user_id;
    PERFORM add_audit_event(
        owner.org_id, what, 'session', NEW.id::text, NULL,
        jsonb_build_object('user_id', owner.id, 'email', owner.email, 'address', NEW.address));
    RETURN NULL;
END $$;
CREATE TRIGGER sessions_begin AFTER INSERT ON sessions FOR EACH ROW EXECUTE FUNCTION record_sign_in();
CREATE TRIGGER sessions_end AFTER UPDATE OF ended_at ON sessions FOR EACH ROW
    WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION record_sign_in();
