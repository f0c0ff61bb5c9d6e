"""The MONAI Application Package: its manifests, its entry, its build."""
