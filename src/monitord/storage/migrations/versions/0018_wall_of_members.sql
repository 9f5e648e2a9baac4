-- Who is in an organisation is seen within it; so are the names of its members, whichever organisation is their own.
ALTER TABLE memberships ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON memberships USING (org_id = (SELECT tenant_org_id()));
DROP POLICY colleagues ON users;
CREATE POLICY colleagues ON users FOR SELECT
    USING (EXISTS (SELECT FROM memberships AS m WHERE m.user_id = users.id AND m.org_id = (SELECT tenant_org_id())));
-- Whoever did something in it, too, though they may have left since: the audit log names them.
CREATE POLICY former_colleagues ON users FOR SELECT
    USING (EXISTS (SELECT FROM audit_events AS e WHERE e.user_id = users.id AND e.org_id = (SELECT tenant_org_id())));
CREATE INDEX audit_events_user ON audit_events (org_id, user_id);

ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON invitations USING (org_id = (SELECT tenant_org_id()));
ALTER TABLE log_floors ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON log_floors USING (org_id = (SELECT tenant_org_id()));
ALTER TABLE subscriptions ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON subscriptions USING (org_id = (SELECT tenant_org_id()));
ALTER TABLE account_pauses ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON account_pauses USING (org_id = (SELECT tenant_org_id()));
