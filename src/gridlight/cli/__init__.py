"""The command `gridlight`: a file for each group of words, which only says what they take and hands them on."""
