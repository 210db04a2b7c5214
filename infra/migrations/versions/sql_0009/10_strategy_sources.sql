-- A strategy is shown with its source, also by processes that answer queries alone. Nothing else of this schema is theirs.
GRANT USAGE ON SCHEMA keys TO khata_query;
GRANT SELECT ON keys.strategy_sources TO khata_query;
