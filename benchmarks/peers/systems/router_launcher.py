"""Start dicom-ai-router with radiographs let in; runs in the router's own environment.

    PYTHON router_launcher.py serve --config ROUTER.YAML

Version 0.3.0 takes CT alone: a list of SOP classes in its source drops every other image as "not a CT image", and no
setting changes it. A user with radiographs would add theirs, as here; nothing else of it is touched.
"""

from airouter import pipeline  # type: ignore[import-not-found, unused-ignore]
from airouter.__main__ import main  # type: ignore[import-not-found, unused-ignore]
from pydicom.uid import ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation

pipeline.IMAGE_SOP_CLASSES |= {ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation}

if __name__ == "__main__":
    main()
