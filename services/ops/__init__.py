"""What operators do: read, check and repair by SQL and the broker's own words, without any service's code."""
