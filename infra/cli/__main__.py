"""`python -m infra.cli`: how the supervisor starts a process without knowing where the script is."""

from infra.cli import main

if __name__ == "__main__":
    main()
