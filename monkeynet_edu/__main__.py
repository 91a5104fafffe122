"""``python -m monkeynet_edu``."""

from monkeynet_edu.cli import main

if __name__ == "__main__":
    main()
