"""Archives of the log: Parquet files that take the place of partitions."""
