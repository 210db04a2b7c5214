-- The read models' schema. Projectors make their own versioned tables in it.

CREATE SCHEMA views AUTHORIZATION khata_projector;

-- Readers may read every table that a projector makes; what they see of it is for the table's row security to say.
ALTER DEFAULT PRIVILEGES FOR ROLE khata_projector IN SCHEMA views GRANT SELECT ON TABLES TO khata_query;
