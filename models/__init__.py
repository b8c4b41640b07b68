"""Model catalogue: the data beside this file; twin.catalog reads it."""
