"""``python -m qa_service`` is the same command as ``qa-service``."""

from qa_service.cli import main

if __name__ == "__main__":
    main()
