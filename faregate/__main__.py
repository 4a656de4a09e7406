"""`python -m faregate` is the same as the command `faregate`."""

from faregate.launcher import main

if __name__ == "__main__":
    main()
