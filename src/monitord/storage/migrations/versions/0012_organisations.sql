-- Who may do what in which organisation. Everyone owns the personal one that was made with their account: a trigger sees
-- to it, whatever made the account.
CREATE TABLE memberships (
    org_id      bigint NOT NULL REFERENCES organisations ON DELETE CASCADE,
    user_id     bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    role        text NOT NULL CHECK (role IN ('viewer', 'editor', 'admin', 'owner')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, user_id)
);
CREATE INDEX memberships_user ON memberships (user_id, org_id);
INSERT INTO memberships (org_id, user_id, role, created_at) SELECT org_id, id, 'owner', created_at FROM users;

CREATE FUNCTION own_personal_organisation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO memberships (org_id, user_id, role, created_at) VALUES (NEW.org_id, NEW.id, 'owner', NEW.created_at);
    RETURN NULL;
END $$;
CREATE TRIGGER users_own AFTER INSERT ON users FOR EACH ROW EXECUTE FUNCTION own_personal_organisation();

-- Addresses that may join. The token of the mail's link is stored as its hash; whoever is signed in with the address,
-- and has proven it, needs none.
CREATE TABLE invitations (
    org_id      bigint NOT NULL REFERENCES organisations ON DELETE CASCADE,
    id          bigint GENERATED ALWAYS AS IDENTITY,
    email       text NOT NULL,
    role        text NOT NULL CHECK (role IN ('viewer', 'editor', 'admin', 'owner')),
    invited_by  bigint REFERENCES users ON DELETE SET NULL,
    token_hash  bytea NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (org_id, id)
);
CREATE UNIQUE INDEX invitations_address ON invitations (org_id, email);
CREATE UNIQUE INDEX invitations_token ON invitations (token_hash);
CREATE INDEX invitations_email ON invitations (email);
CREATE INDEX invitations_inviter ON invitations (invited_by);

ALTER TABLE organisations
    ADD COLUMN version     bigint NOT NULL DEFAULT 1,
    ADD COLUMN updated_at  timestamptz NOT NULL DEFAULT now();

-- An organisation is its own; a membership is called after its user.
CREATE OR REPLACE FUNCTION record_audit_event() RETURNS trigger LANGUAGE plpgsql AS $$
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
        COALESCE(thing ->> 'org_id', thing ->> 'id')::bigint, action, TG_ARGV[0],
        COALESCE(thing ->> 'id', thing ->> 'user_id', concat_ws('/', thing ->> 'monitor_id', thing ->> 'contact_id')),
        was, now_is);
    RETURN NULL;
END $$;

CREATE TRIGGER organisations_audit AFTER INSERT OR UPDATE OR DELETE ON organisations
    FOR EACH ROW EXECUTE FUNCTION record_audit_event('organisation', '{}', '{updated_at,version}');
CREATE TRIGGER memberships_audit AFTER INSERT OR UPDATE OR DELETE ON memberships
    FOR EACH ROW EXECUTE FUNCTION record_audit_event('member', '{}', '{}');
CREATE TRIGGER invitations_audit AFTER INSERT OR UPDATE OR DELETE ON invitations
    FOR EACH ROW EXECUTE FUNCTION record_audit_event('invitation', '{token_hash}', '{}');
