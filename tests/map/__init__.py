"""The MONAI Application Package: manifests, entry, build, packager, image."""
