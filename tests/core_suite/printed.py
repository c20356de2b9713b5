"""What a test says to whoever reads the run, beside passing: `record_property(PRINTED, text)`."""

PRINTED = "printed"
