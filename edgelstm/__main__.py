"""`python -m edgelstm`: the same program as `edgelstm`."""

import sys

from edgelstm.cli import main

if __name__ == "__main__":
    sys.exit(main())
