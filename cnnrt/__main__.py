"""`python -m cnnrt` is the command `cnnrt`."""

from cnnrt.cli import main

if __name__ == "__main__":
    main()
