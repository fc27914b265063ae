"""The chain that operators are paid on and requesters pay in by: Stellar's, Pi's, or a private one of the same kind."""
