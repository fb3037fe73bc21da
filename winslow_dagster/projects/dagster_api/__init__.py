"""What Dagster's web server is asked on behalf of projects."""
