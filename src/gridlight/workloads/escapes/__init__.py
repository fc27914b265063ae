"""The escape probe: attempts, from inside of a sandbox, to do what its walls must not allow; nothing but the standard
library, so that they can run anywhere.
"""
