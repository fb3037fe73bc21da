"""The project tables: their schema, and one class of plain calls for each kind of fact."""
