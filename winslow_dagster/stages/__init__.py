"""One stage attempt on its node: task, runner, containers, log reader. Knows no Dagster."""
