"""The artefact between building and serving, and the merge that all sides share. numpy only."""

from bundle.bundle import Bundle, SelfTest
from bundle.errors import BundleError, InputError, NonnError, StorageError
from bundle.folder import read_files
from bundle.manifest import MAX_STUDENTS, FileEntry, InputSpec, Manifest, StudentEntry
from bundle.merge import Fill, Merger
from bundle.subsets import LossSummary, accuracy_by_lost, subset_accuracy, subset_mask, subset_members
from bundle.write import BundleContents, check_target, write_bundle

__all__ = [
    "MAX_STUDENTS",
    "Bundle",
    "BundleContents",
    "BundleError",
    "FileEntry",
    "Fill",
    "InputError",
    "InputSpec",
    "LossSummary",
    "Manifest",
    "Merger",
    "NonnError",
    "SelfTest",
    "StorageError",
    "StudentEntry",
    "accuracy_by_lost",
    "check_target",
    "read_files",
    "subset_accuracy",
    "subset_mask",
    "subset_members",
    "write_bundle",
]
