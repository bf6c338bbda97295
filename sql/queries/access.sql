-- People and their sessions.

-- name: put_person(user_id, name, roles, units, now)!
-- A person with the rights they have from now on. Whoever was shut out stays out: to log in again is not to be let in again.
INSERT INTO app_user (user_id, name, roles, units, updated_at) VALUES (:user_id, :name, :roles, :units, :now)
ON CONFLICT (user_id) DO UPDATE SET name = excluded.name, roles = excluded.roles, units = excluded.units, updated_at = excluded.updated_at;

-- name: people()
-- Everybody who may use the application, by name.
SELECT user_id, name, roles, units FROM app_user WHERE is_active ORDER BY name;

-- name: person(user_id)
-- One person.
SELECT user_id, name, roles, units FROM app_user WHERE user_id = :user_id AND is_active;

-- name: open_session(user_id, token, hours)!
-- A new session; the database keeps only the token's digest.
SELECT open_session(:user_id, :token, make_interval(secs => :hours * 3600));

-- name: session_person()
-- Whose session this transaction carries, with the rights as they are now.
SELECT session_user_id(), session_user_name(), session_roles(), session_units();

-- name: end_session()!
-- The session of this transaction is over.
SELECT end_session();
