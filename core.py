"""Candor CXR without the MONAI Deploy App SDK and without torch: ``python core.py -i IN -o OUT -m MODELS``.

The same operators on ONNX Runtime in plain Python, for low-resource sites and processors without holoscan: the same
options, exit codes, UIDs and numbers as ``app.py``. Research use only, not for diagnosis.
"""

import os
import sys

os.environ["CANDOR_RUNNER"] = "plain"

from app import main

if __name__ == "__main__":
    sys.exit(main())
