"""`python -m gridlight`: the same as the command `gridlight`."""

from gridlight.cli.main import main

if __name__ == "__main__":
    main()
