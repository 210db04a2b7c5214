-- How far applications of the eventsourcing library have come with what they follow.

-- Written by append_batch, in the transaction of the events that an application made of what it read. `command_id` names
-- the append that wrote the row: it tells, after a lost connection, whose it is.
CREATE TABLE ops.library_tracking (
    tracker text NOT NULL,
    application_name text NOT NULL,
    notification_id bigint NOT NULL,
    command_id text NOT NULL,
    PRIMARY KEY (tracker, application_name)
) WITH (fillfactor = 50);
