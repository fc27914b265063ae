"""The payer: hosts the core of payouts. Its signer may be a process of its own, so that the keys are in no other."""
