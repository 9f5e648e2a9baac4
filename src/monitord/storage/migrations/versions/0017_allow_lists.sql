-- Networks that calls may come from; empty: from everywhere.
ALTER TABLE organisations ADD COLUMN allowed_networks cidr[] NOT NULL DEFAULT '{}';
-- A key is for the monitors that have all of its labels; with none, for all of its organisation.
ALTER TABLE api_keys
    ADD COLUMN allowed_networks  cidr[] NOT NULL DEFAULT '{}',
    ADD COLUMN labels            jsonb NOT NULL DEFAULT '{}';
