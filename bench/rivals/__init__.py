"""What one would write instead, written as well as we can: a comparison with a straw man shows nothing."""
