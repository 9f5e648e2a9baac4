-- Sealing secrets anew under another master key changes none of them: the audit log does not tell it of each monitor and
-- contact. Nothing but the exchange of one sealed value for another goes untold, and only in a transaction that says so
-- (`monitord.reseals`); the rotation itself is told once.
DROP TRIGGER monitors_audit ON monitors;
CREATE TRIGGER monitors_audit AFTER INSERT OR DELETE ON monitors
    FOR EACH ROW EXECUTE FUNCTION record_audit_event('monitor', '{secrets}', '{updated_at,version}');
CREATE TRIGGER monitors_audit_changes AFTER UPDATE ON monitors FOR EACH ROW
    WHEN (current_setting('monitord.reseals', true) IS DISTINCT FROM 'on'
          OR OLD.secrets IS NULL OR NEW.secrets IS NULL
          OR (to_jsonb(OLD) - 'secrets') <> (to_jsonb(NEW) - 'secrets'))
    EXECUTE FUNCTION record_audit_event('monitor', '{secrets}', '{updated_at,version}');

DROP TRIGGER alert_contacts_audit ON alert_contacts;
CREATE TRIGGER alert_contacts_audit AFTER INSERT OR DELETE ON alert_contacts
    FOR EACH ROW EXECUTE FUNCTION record_audit_event('contact', '{secrets}', '{updated_at,version}');
CREATE TRIGGER alert_contacts_audit_changes AFTER UPDATE ON alert_contacts FOR EACH ROW
    WHEN (current_setting('monitord.reseals', true) IS DISTINCT FROM 'on'
          OR OLD.secrets IS NULL OR NEW.secrets IS NULL
          OR (to_jsonb(OLD) - 'secrets') <> (to_jsonb(NEW) - 'secrets'))
    EXECUTE FUNCTION record_audit_event('contact', '{secrets}', '{updated_at,version}');
