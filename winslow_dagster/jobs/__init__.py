"""Pipeline to Dagster: compiler, stage op, IO manager, queues, executor and launcher."""
