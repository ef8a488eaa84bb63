"""`python -m edgelstm`: the same program as `edgelstm`."""

import sys

if __name__ == "__main__":
    from edgelstm.start import main

    sys.exit(main())
